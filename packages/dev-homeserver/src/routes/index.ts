import type { Route } from "../http/router.ts";
import { accountDataRoutes } from "./account-data-routes.ts";
import { accountRoutes } from "./account-routes.ts";
import { backupRoutes } from "./backup-routes.ts";
import { deviceRoutes } from "./device-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { historyRoutes } from "./history-routes.ts";
import { keyRoutes } from "./key-routes.ts";
import { mediaRoutes } from "./media-routes.ts";
import { profileRoutes } from "./profile-routes.ts";
import { roomRoutes } from "./room-routes.ts";
import { serverRoutes } from "./server-routes.ts";
import type { Services } from "./services.ts";
import { stateRoutes } from "./state-routes.ts";
import { syncRoutes } from "./sync-routes.ts";

/** Every route there is; `url` is where the server will be. */
export function allRoutes(services: Services, url: () => string): Route[] {
  return [
    ...accountRoutes(services),
    ...accountDataRoutes(services),
    ...backupRoutes(services),
    ...deviceRoutes(services),
    ...eventRoutes(services),
    ...historyRoutes(services),
    ...keyRoutes(services),
    ...mediaRoutes(services),
    ...profileRoutes(services),
    ...roomRoutes(services),
    ...serverRoutes(url),
    ...stateRoutes(services),
    ...syncRoutes(services),
  ];
}
