import type { JsonObject } from "../http/json.ts";

/** The push rules of every user: none, in the form in which clients look for them. */
export const PUSH_RULES: JsonObject = {
  global: { override: [], content: [], room: [], sender: [], underride: [] },
};
