import type { End, Process } from "./processes.ts";
import type { Told } from "./protocol.ts";

/** Something that must never be. */
export interface Violation {
  readonly kind: string;
  readonly member: string;
  readonly detail: string;
  /** The round in which it was found. */
  readonly round: number;
}

/** A message that its sender's client has acknowledged. */
export interface Acknowledged {
  readonly eventId: string;
  readonly sender: string;
  readonly roomId: string;
  readonly text: string;
}

interface Opening {
  readonly holder: string;
  readonly epoch: bigint;
  readonly revision: bigint;
}

/** What is known of one member. */
class Account {
  readonly openings: Opening[] = [];
  /** The holder of the commit that made each revision of the next. */
  readonly commits = new Map<bigint, string>();
  readonly identities = new Set<string>();
  readonly handled = new Set<string>();
  readonly handledToDevice = new Set<string>();
  /** One past the guard of the newest commit that was acknowledged. */
  revision = 0n;
}

/** All that the processes told, and what is wrong with it by itself. */
export class Ledger {
  readonly acknowledged = new Map<string, Acknowledged>();
  readonly violations: Violation[] = [];
  readonly counts = { acknowledged: 0, handled: 0, refused: 0, undecryptable: 0, commits: 0, lateCommits: 0 };
  readonly #accounts = new Map<string, Account>();
  readonly #listeners = new Set<() => void>();
  /** The round that runs. */
  round = 0;

  of(member: string): Account {
    let account = this.#accounts.get(member);
    if (account === undefined) {
      account = new Account();
      this.#accounts.set(member, account);
    }
    return account;
  }

  violation(kind: string, member: string, detail: string): void {
    this.violations.push({ kind, member, detail, round: this.round });
  }

  /** What was known of a member's row holds no more: it has another, or somebody has changed it. */
  newStore(member: string): void {
    const account = this.of(member);
    account.openings.length = 0;
    account.commits.clear();
    account.revision = 0n;
  }

  /** Listens to all that a process of a member tells. */
  follow(member: string, child: Process): void {
    child.on("told", (told) => this.#take(member, child, told));
    child.on("end", (end) => this.#end(member, child, end));
  }

  /** Resolves when a condition holds, which is looked at whenever something was handled; false when the time is over. */
  async until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const look = (): void => {
      if (condition()) resolve(true);
    };
    const timer = setTimeout(() => resolve(condition()), limitMs);
    this.#listeners.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#listeners.delete(look);
    }
  }

  #take(member: string, child: Process, told: Told): void {
    const account = this.of(member);
    switch (told.told) {
      case "sent": {
        const { eventId, roomId, text } = told;
        this.counts.acknowledged += 1;
        this.acknowledged.set(eventId, { eventId, roomId, text, sender: member });
        return;
      }
      case "not sent":
        this.counts.refused += 1;
        return;
      case "handled":
        this.counts.handled += 1;
        account.handled.add(told.eventId);
        this.#look();
        return;
      case "handled to-device":
        account.handledToDevice.add(told.id);
        this.#look();
        return;
      case "undecryptable":
        this.counts.undecryptable += 1;
        return;
      case "identity":
        account.identities.add(told.ed25519);
        if (account.identities.size > 1) this.#once("the identity changed", member, [...account.identities].join(", "));
        return;
      case "opened":
        this.#opened(member, account, told);
        return;
      case "committed":
        this.#committed(member, account, told);
        return;
      case "late commit":
        this.counts.lateCommits += 1;
        if (told.applied) this.violation("a commit was applied after it had been settled", member, "");
        return;
      case "mode":
        if (told.mode === "off" && !child.replaced) {
          this.violation("encryption ended though nothing ended it", member, `${told.code}: ${told.reason}`);
        }
        return;
      case "error":
        this.violation("a client reported an error", member, `${told.doing}: ${told.message}`);
        return;
    }
  }

  #opened(member: string, account: Account, told: Extract<Told, { told: "opened" }>): void {
    const opening = { holder: told.holder, epoch: BigInt(told.epoch), revision: BigInt(told.revision) };
    const before = account.openings.at(-1);
    if (before !== undefined && opening.epoch <= before.epoch) {
      this.violation("an epoch did not grow", member, `${before.epoch}, then ${opening.epoch}`);
    }
    if (opening.revision < account.revision) {
      this.violation("a revision went back", member, `${account.revision} was acknowledged, ${opening.revision} found`);
    }
    account.openings.push(opening);
    for (const [revision, holder] of account.commits) {
      if (revision >= opening.revision) this.#stale(member, revision, holder, opening);
    }
  }

  #committed(member: string, account: Account, told: Extract<Told, { told: "committed" }>): void {
    this.counts.commits += 1;
    const revision = BigInt(told.revision);
    if (account.commits.has(revision)) {
      this.violation("two commits were made of one revision", member, `${revision}`);
    }
    account.commits.set(revision, told.holder);
    if (revision >= account.revision) account.revision = revision + 1n;
    // Whoever opened the device last at this revision or an earlier one is its writer.
    const writer = account.openings.findLast((opening) => opening.revision <= revision);
    if (writer !== undefined && writer.holder !== told.holder) this.#stale(member, revision, told.holder, writer);
  }

  #stale(member: string, revision: bigint, holder: string, opening: Opening): void {
    const detail = `${holder} committed on revision ${revision}, ${opening.holder} had opened it at ${opening.revision} (epoch ${opening.epoch})`;
    this.violation("a stale writer wrote", member, detail);
  }

  #end(member: string, child: Process, { code, signal }: End): void {
    if (child.condemned && signal === "SIGKILL") return;
    if (child.condemned && code === 0) return;
    this.violation("a process ended by itself", member, `code ${code}, signal ${signal}`);
  }

  #once(kind: string, member: string, detail: string): void {
    if (!this.violations.some((found) => found.kind === kind && found.member === member)) {
      this.violation(kind, member, detail);
    }
  }

  #look(): void {
    for (const listener of this.#listeners) listener();
  }
}
