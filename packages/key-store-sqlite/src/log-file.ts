import { closeSync, fstatSync, openSync, readSync } from "node:fs";

// The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log. SQLite holds no locks on this file, so that
// closing a descriptor of it takes none away.
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/** What tells the frames of one log from those that an earlier one left in the same file. */
interface Salt {
  readonly first: number;
  readonly second: number;
}

/** What a `-wal` file holds, damaged or not, as far as frames tell that they are its own. */
export interface LogFile {
  readonly salt: Salt;
  /** The frames that end a transaction, by their number from 1. */
  readonly commits: readonly number[];
  /**
   * Whether nothing was committed to it but the mark, if that: SQLite had
   * moved the log before it into the main file, and then begun anew.
   */
  readonly isFresh: boolean;
}

/** Reads the frames' headers of a `-wal` file; `undefined` where there is none, or its own header is damaged. */
export function readLogFile(path: string): LogFile | undefined {
  return withFile(path, (file) => {
    const header = read(file, 0, HEADER_BYTES);
    if (header === undefined || !isWhole(header)) return undefined;
    const salt = saltAt(header, 16);
    const frameBytes = FRAME_HEADER_BYTES + header.readUInt32BE(8);
    const frames = Math.floor((fstatSync(file).size - HEADER_BYTES) / frameBytes);

    const own: { readonly frame: number; readonly page: number; readonly isCommit: boolean }[] = [];
    let first: Salt | undefined;
    for (let frame = 1; frame <= frames; frame += 1) {
      const bytes = read(file, HEADER_BYTES + (frame - 1) * frameBytes, FRAME_HEADER_BYTES);
      if (bytes === undefined) break;
      const its = saltAt(bytes, 8);
      first ??= its;
      if (!isSame(its, salt)) continue;
      own.push({ frame, page: bytes.readUInt32BE(0), isCommit: bytes.readUInt32BE(4) > 0 });
    }
    const commits = own.filter(({ page, isCommit }, at) => {
      const before = own[at - 1];
      // On some disks SQLite fills a sector with copies of a transaction's last frame.
      return isCommit && !(before?.isCommit && before.page === page);
    });
    // A log that is begun anew counts the first half of its salt up by one, and draws the second half.
    const follows = first !== undefined && salt.first === (first.first + 1) % 2 ** 32 && salt.second !== first.second;
    // Each commit sets the mark where it is not set: one that takes a single page is the mark alone.
    const isMark = own.length === 1 && own[0]?.frame === 1 && own[0].isCommit;
    return { salt, commits: commits.map(({ frame }) => frame), isFresh: (own.length === 0 && follows) || isMark };
  });
}

/** Whether a log's header is what its checksum says: without that, SQLite takes the log for an empty one. */
function isWhole(header: Buffer): boolean {
  // The last bit of the first word tells in which order the words of checksums are read.
  const isBigEndian = (header.readUInt8(3) & 1) === 1;
  let [one, other] = [0, 0];
  for (let at = 0; at < 24; at += 8) {
    one = (one + (isBigEndian ? header.readUInt32BE(at) : header.readUInt32LE(at)) + other) >>> 0;
    other = (other + (isBigEndian ? header.readUInt32BE(at + 4) : header.readUInt32LE(at + 4)) + one) >>> 0;
  }
  return one === header.readUInt32BE(24) && other === header.readUInt32BE(28) && header.readUInt32BE(8) > 0;
}

/** Whether this is still the log that stands at the path. */
export function isStill({ salt }: LogFile, path: string): boolean {
  const now = withFile(path, (file) => read(file, 0, HEADER_BYTES));
  return now !== undefined && isSame(saltAt(now, 16), salt);
}

function withFile<T>(path: string, work: (file: number) => T): T | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return work(file);
  } finally {
    closeSync(file);
  }
}

function read(file: number, position: number, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  return readSync(file, bytes, 0, length, position) === length ? bytes : undefined;
}

function saltAt(bytes: Buffer, offset: number): Salt {
  return { first: bytes.readUInt32BE(offset), second: bytes.readUInt32BE(offset + 4) };
}

function isSame(one: Salt, other: Salt): boolean {
  return one.first === other.first && one.second === other.second;
}
