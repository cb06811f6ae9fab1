import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What a Synapse is started with. */
export interface Configuration {
  /** Where the files are, as the server sees it. */
  readonly directory: string;
  readonly port: number;
  readonly bindAddress: string;
  /** Lets who knows it register users. */
  readonly registrationSecret: string;
}

const MUCH = { per_second: 100_000, burst_count: 100_000 };

/** Limits that a test suite would meet, put out of its reach. */
const NO_LIMITS = {
  rc_message: MUCH,
  rc_registration: MUCH,
  rc_login: { address: MUCH, account: MUCH, failed_attempts: MUCH },
  rc_joins: { local: MUCH, remote: MUCH },
  rc_joins_per_room: MUCH,
  rc_invites: { per_room: MUCH, per_user: MUCH, per_issuer: MUCH },
  rc_key_requests: MUCH,
  rc_media_create: MUCH,
  rc_room_creation: MUCH,
  rc_admin_redaction: MUCH,
};

/**
 * Writes what a Synapse needs to start into a directory, as the machine sees
 * that: a configuration (JSON, which YAML includes), a signing key, and how to
 * log. One server on SQLite, that speaks to no other.
 */
export async function writeConfiguration(directory: string, configuration: Configuration): Promise<void> {
  const { directory: seen, port, bindAddress, registrationSecret } = configuration;
  await mkdir(directory, { recursive: true });
  const homeserver = {
    server_name: "localhost",
    listeners: [
      {
        port,
        type: "http",
        tls: false,
        bind_addresses: [bindAddress],
        resources: [{ names: ["client", "media"], compress: false }],
      },
    ],
    database: { name: "sqlite3", args: { database: `${seen}/homeserver.db` } },
    media_store_path: `${seen}/media`,
    enable_authenticated_media: true,
    max_upload_size: "50M",
    signing_key_path: `${seen}/signing.key`,
    log_config: `${seen}/log.yaml`,
    registration_shared_secret: registrationSecret,
    macaroon_secret_key: secret(),
    form_secret: secret(),
    // Passwords of tests need no protection, and the suite need not wait for it.
    bcrypt_rounds: 4,
    login_via_existing_session: { enabled: true, require_ui_auth: false },
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    federation_domain_whitelist: [],
    report_stats: false,
    presence: { enabled: false },
    ...NO_LIMITS,
  };
  const log = {
    version: 1,
    disable_existing_loggers: false,
    handlers: { console: { class: "logging.StreamHandler" } },
    root: { level: "WARNING", handlers: ["console"] },
  };
  await writeFile(join(directory, "homeserver.yaml"), JSON.stringify(homeserver, undefined, 2));
  await writeFile(join(directory, "log.yaml"), JSON.stringify(log));
  // An ed25519 seed, as the server writes it itself: algorithm, a name, base64 without padding.
  await writeFile(
    join(directory, "signing.key"),
    `ed25519 a_dev ${randomBytes(32).toString("base64").replace(/=+$/, "")}\n`,
  );
}

/** A secret that nobody can guess. */
export function secret(): string {
  return randomBytes(24).toString("hex");
}
