import { rmSync } from "node:fs";
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DevHomeserver } from "@holdfast/dev-homeserver";
import { type Credentials, HomeserverClient } from "@holdfast/dev-homeserver/party";
import { Child } from "./child.ts";
import type { ChildEvent, ReceiverCommands, SenderCommands } from "./commands.ts";
import type { Story } from "./story.ts";

export type Receiver = Child<ReceiverCommands>;

/** What all acts have in common: the homeserver, the sender, a place on the disk, and the story that is told. */
export interface Stage {
  readonly story: Story;
  readonly sender: Child<SenderCommands>;
  /** Makes an account with a device on the homeserver. */
  account(username: string): Promise<Credentials>;
  /** Makes an empty directory. */
  directory(name: string): Promise<string>;
  /** Starts a receiver's process. Its log lines are printed, and go to `onLog` too. */
  receiver(
    directory: string,
    environment: Readonly<Record<string, string>>,
    onLog?: (message: string) => void,
  ): Receiver;
}

/** Sets the stage. Its processes end with `cleanup`, and its directories with this process. */
export async function setStage(story: Story, homeserver: DevHomeserver, cleanup: AsyncDisposableStack): Promise<Stage> {
  const root = await mkdtemp(join(tmpdir(), "holdfast-demo-"));
  // At the very end, however it comes: a Ctrl-C ends the process before anything asynchronous is done.
  process.once("exit", () => rmSync(root, { recursive: true, force: true, maxRetries: 3 }));
  const directory = async (name: string): Promise<string> => {
    const path = join(root, name);
    await mkdir(path);
    return path;
  };
  const account = async (username: string): Promise<Credentials> =>
    (await HomeserverClient.register(homeserver.url, username, { deviceId: "HOLDFAST" })).credentials;
  const sender = cleanup.use(
    new Child<SenderCommands>({ entry: new URL("./sender.ts", import.meta.url), directory: await directory("sender") }),
  );
  await sender.call("start", [await account("sender")]);
  return {
    story,
    sender,
    account,
    directory,
    receiver: (path, environment, onLog) => {
      const onEvent = (event: ChildEvent): void => {
        if (event.event !== "log" || event.level === "debug") return;
        story.log(event.level, event.message);
        onLog?.(event.message);
      };
      return cleanup.use(
        new Child({ entry: new URL("./receiver.ts", import.meta.url), directory: path, environment, onEvent }),
      );
    },
  };
}
