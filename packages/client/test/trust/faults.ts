import type { DevHomeserver } from "@holdfast/dev-homeserver";

/**
 * Hangs up instead of answering, once: after the homeserver has done what it
 * was asked, or before. Until it is disposed of.
 */
export function cutOnce(
  homeserver: DevHomeserver,
  route: string,
  when: "before" | "after",
  method?: "GET" | "POST" | "PUT",
): Disposable {
  let cut = false;
  const stop = homeserver.use(async (call, next) => {
    if (cut || !call.route.endsWith(route) || (method !== undefined && call.method !== method)) return next();
    cut = true;
    if (when === "after") await next();
    return "hang up";
  });
  return { [Symbol.dispose]: stop };
}
