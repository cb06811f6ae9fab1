import Database from "better-sqlite3";
import postgres from "postgres";
import type { Member } from "../member.ts";

/** Changes a device's row behind everybody's back, as a failover to a replica that lags does. */
export async function changeRow({ storage, userId }: Member, assignment: string): Promise<void> {
  if (storage.kind === "sqlite") {
    const database = new Database(storage.path);
    try {
      database.prepare(`update device set ${assignment} where user_id = ?`).run(userId);
    } finally {
      database.close();
    }
    return;
  }
  const sql = postgres(storage.url, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(`update holdfast.device set ${assignment} where user_id = $1`, [userId]);
  } finally {
    await sql.end();
  }
}
