export { type MoveDeviceOptions, type MoveResult, moveDevice, type OnConflict } from "./move-device.ts";
