import { Fifo } from "./fifo.ts";

/** Something that was active during a task, and is told when the task is over. */
export interface Turn {
  /** Called once, when all microtasks of the task have run. */
  endTurn(): void;
}

/** A task to be run: an object rather than a closure, for there are many. */
export interface Task {
  runTask(): void;
}

/** Work to be done in a microtask. */
export interface Work {
  work(): void;
}

// Test suites replace the timers: ours are those that were there when this module was loaded.
const { setImmediate } = globalThis;
const { nextTick } = process;
// A reaction of a promise costs a fraction of what queueMicrotask() does in Node.
const resolved = Promise.resolve();

/** After so many tasks in a row the event loop gets a turn, so that input and output go on. */
const TASKS_IN_A_ROW = 64;

const tasks = new Fifo<Task>();
let turns: Turn[] = [];
let works: Work[] = [];
let scheduled = false;
/** Whether the next task waits for the event loop to have had its turn. */
let yielding = false;
let inARow = 0;

/**
 * Runs `task` when the task that is running and all its microtasks are done.
 * Tasks run in the order they were queued in, each with its own microtasks: the
 * event loop of a browser, without the price of one of Node's for each.
 */
export function queueTask(task: Task): void {
  tasks.push(task);
  schedule();
}

/** Calls `turn.endTurn()` when the microtasks of the running task are done, before any other task of ours. */
export function atEndOfTurn(turn: Turn): void {
  turns.push(turn);
  if (yielding) void resolved.then(endTurnsAfterMicrotasks);
  else schedule();
}

/** Calls `work.work()` in a microtask. */
export function queueWork(work: Work): void {
  works.push(work);
  if (works.length === 1) void resolved.then(runWorks);
}

/** Reports an exception as one that nobody caught, as Node's own `EventTarget` does. */
export function reportException(error: unknown): void {
  nextTick(() => {
    throw error;
  });
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  // Of the tick queue alone a callback would come before the microtasks of the running task.
  void resolved.then(afterMicrotasks);
}

function afterMicrotasks(): void {
  nextTick(step);
}

function step(): void {
  endTurns();
  if (tasks.length === 0) {
    finish();
  } else if (++inARow % TASKS_IN_A_ROW === 0) {
    yielding = true;
    setImmediate(runTask);
  } else {
    runTask();
  }
}

function runTask(): void {
  yielding = false;
  try {
    tasks.shift()?.runTask();
  } finally {
    if (tasks.length > 0 || turns.length > 0) void resolved.then(afterMicrotasks);
    else finish();
  }
}

function endTurnsAfterMicrotasks(): void {
  nextTick(endTurns);
}

function finish(): void {
  scheduled = false;
}

function endTurns(): void {
  while (turns.length > 0) {
    const ended = turns;
    turns = [];
    for (const turn of ended) turn.endTurn();
  }
}

function runWorks(): void {
  const queued = works;
  works = [];
  for (const work of queued) work.work();
}
