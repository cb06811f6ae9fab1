export type { CallMatcher } from "./call-matcher.ts";
export {
  delay,
  drop,
  duplicate,
  error,
  type Fault,
  holdRequest,
  holdResponse,
  loseResponse,
  rateLimit,
} from "./fault.ts";
export type { FaultHandle, Faults } from "./faults.ts";
export type { HandedOutKey, Journal, JournalEntry, SentEvent, SentToDevice } from "./journal.ts";
