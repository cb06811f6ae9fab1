import { setTimeout as pause } from "node:timers/promises";
import { checkpoint, healthy, lastCheck, resume } from "./checkpoint.ts";
import { KILLS, killOnce } from "./damage/kills.ts";
import { loseRequest } from "./damage/network.ts";
import { OUTAGES, outage } from "./damage/outages.ts";
import type { Member } from "./member.ts";
import { Random } from "./random.ts";
import type { RunReport } from "./report.ts";
import { type Database, World } from "./world.ts";

/** What is run. */
export interface RunOptions {
  readonly store: "sqlite" | "postgres";
  readonly seed: number;
  /** How many rounds: each is one kill or one outage. */
  readonly rounds: number;
  /** When to begin no more rounds, as `performance.now()` counts. */
  readonly until: number;
  readonly database?: Database | undefined;
  readonly say: (line: string) => void;
}

const MEMBERS = 3;
/** Rounds between two looks at everything. */
const ROUNDS_TO_CHECKPOINT = 60;
/** Damages a world round after round, and looks what became of it. */
export async function run(options: RunOptions): Promise<RunReport> {
  const { store, seed, database, say } = options;
  const began = performance.now();
  const world = await World.start({ store, members: MEMBERS, spares: 2, pauseMs: 400, rotation: 2, database });
  const story = new Story(world, options);
  try {
    while (!story.isOver) {
      await story.leg();
      say(story.line());
    }
    if (world.ledger.violations.length === 0) await lastCheck(world);
    for (const { process } of world.members) process.condemned = true;
  } finally {
    await world.end(world.ledger.violations.length > 0);
  }
  const seconds = (performance.now() - began) / 1_000;
  const { violations } = world.ledger;
  return {
    kind: "run",
    store,
    seed,
    seconds: Math.round(seconds),
    ...story.counts(),
    violations,
    logs: violations.length > 0 ? world.directory : undefined,
  };
}

/** The rounds of one run. */
class Story {
  readonly #world: World;
  readonly #options: RunOptions;
  readonly #random: Random;
  readonly #lanes: ReadonlyMap<Member, Random>;
  readonly #damages: Record<string, number> = {};
  #round = 0;
  #kills = 0;
  #outages = 0;

  constructor(world: World, options: RunOptions) {
    this.#world = world;
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#lanes = new Map(world.members.map((member) => [member, this.#random.fork()]));
  }

  get isOver(): boolean {
    const { rounds, until } = this.#options;
    return this.#round >= rounds || performance.now() > until || this.#world.ledger.violations.length > 0;
  }

  counts() {
    const { ledger, wire } = this.#world;
    return {
      rounds: this.#round,
      kills: this.#kills,
      outages: this.#outages,
      damages: this.#damages,
      messages: { ...ledger.counts, ...wire.counts },
    };
  }

  line(): string {
    const { counts, violations } = this.#world.ledger;
    return `${this.#options.store}: ${this.#kills} kills, ${this.#outages} outages, ${counts.acknowledged} messages acknowledged, ${counts.commits} commits, ${violations.length} violations`;
  }

  /** Rounds up to the next look. */
  async leg(): Promise<void> {
    const last = Math.min(this.#round + ROUNDS_TO_CHECKPOINT, this.#options.rounds);
    const lanes = [...this.#lanes].map(([member, random]) => this.#killLane(member, random, last));
    if (this.#options.database !== undefined) lanes.push(this.#outageLane(this.#random.fork(), last));
    await Promise.all(lanes);
    this.#world.homeserver.faults.clear();
    await healthy(this.#world);
    await checkpoint(this.#world);
    resume(this.#world);
  }

  async #killLane(member: Member, random: Random, last: number): Promise<void> {
    while (this.#takeRound(last)) {
      const kind = random.weighted(KILLS);
      if (random.next() < 0.3) loseRequest(this.#world, member, random);
      await killOnce(this.#world, member, kind, random);
      this.#kills += kind === "while it starts" ? 2 : 1;
      this.#count(kind);
      if (this.#options.database !== undefined) await pause(random.next() * 1_500);
    }
  }

  async #outageLane(random: Random, last: number): Promise<void> {
    const { database } = this.#options;
    while (database !== undefined && this.#takeRound(last)) {
      const kind = random.weighted(OUTAGES);
      await outage(database, kind, random);
      this.#outages += 1;
      this.#count(kind);
      await pause(random.next() * 600);
    }
  }

  #takeRound(last: number): boolean {
    if (this.#round >= last || performance.now() > this.#options.until) return false;
    this.#round += 1;
    this.#world.ledger.round = this.#round;
    return true;
  }

  #count(damage: string): void {
    this.#damages[damage] = (this.#damages[damage] ?? 0) + 1;
  }
}
