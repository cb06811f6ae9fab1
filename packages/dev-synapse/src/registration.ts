import { createHmac } from "node:crypto";

const ENDPOINT = "/_synapse/admin/v1/register";

/**
 * Makes a user by Synapse's shared-secret registration.
 *
 * @throws Error with the server's answer, for a name that is taken or a secret that is another
 */
export async function registerUser(
  baseUrl: string,
  sharedSecret: string,
  username: string,
  password: string,
): Promise<{ readonly userId: string }> {
  const { nonce } = (await call(`${baseUrl}${ENDPOINT}`)) as { readonly nonce: string };
  const mac = createHmac("sha1", sharedSecret).update([nonce, username, password, "notadmin"].join("\0")).digest("hex");
  const request = { nonce, username, password, mac, admin: false, inhibit_login: true };
  const reply = await call(`${baseUrl}${ENDPOINT}`, { method: "POST", body: JSON.stringify(request) });
  return { userId: (reply as { readonly user_id: string }).user_id };
}

async function call(url: string, init: RequestInit = {}): Promise<unknown> {
  const response = await fetch(url, init);
  const body = await response.text();
  if (!response.ok) throw new Error(`registration was answered with ${response.status}: ${body}`);
  return JSON.parse(body);
}
