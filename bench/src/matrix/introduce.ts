import {
  type KeysQueryRequest,
  type KeysUploadRequest,
  type OlmMachine,
  RequestType,
  UserId,
} from "@matrix-org/matrix-sdk-crypto-wasm";

/** What a device publishes on a homeserver. */
interface PublishedKeys {
  readonly device_keys: object;
  readonly one_time_keys: Readonly<Record<string, object>>;
}

/** Has two new devices publish their keys and know each other's, and gives each an Olm session to the other. */
export async function introduce(one: OlmMachine, other: OlmMachine): Promise<void> {
  const keysOfOne = await publish(one);
  const keysOfOther = await publish(other);
  await learn(one, other, keysOfOther);
  await learn(other, one, keysOfOne);
  await startSession(one, other, keysOfOther);
  await startSession(other, one, keysOfOne);
}

async function publish(machine: OlmMachine): Promise<PublishedKeys> {
  const request = await outgoing<KeysUploadRequest>(machine, RequestType.KeysUpload);
  const keys: PublishedKeys = JSON.parse(request.body);
  const counts = { signed_curve25519: Object.keys(keys.one_time_keys).length };
  await answer(machine, request, { one_time_key_counts: counts });
  return keys;
}

async function learn(machine: OlmMachine, whom: OlmMachine, { device_keys }: PublishedKeys): Promise<void> {
  const userId = whom.userId.toString();
  await machine.updateTrackedUsers([new UserId(userId)]);
  const request = await outgoing<KeysQueryRequest>(machine, RequestType.KeysQuery);
  await answer(machine, request, {
    device_keys: { [userId]: { [whom.deviceId.toString()]: device_keys } },
    failures: {},
  });
}

async function startSession(machine: OlmMachine, to: OlmMachine, { one_time_keys }: PublishedKeys): Promise<void> {
  const userId = to.userId.toString();
  const request = await machine.getMissingSessions([new UserId(userId)]);
  const [first] = Object.entries(one_time_keys);
  if (!request || first === undefined) throw new Error("there is no session to start");
  const claimed = { [userId]: { [to.deviceId.toString()]: Object.fromEntries([first]) } };
  await answer(machine, request, { one_time_keys: claimed, failures: {} });
}

async function outgoing<Request>(machine: OlmMachine, type: RequestType): Promise<Request> {
  const requests = await machine.outgoingRequests();
  const request = requests.find((candidate) => candidate.type === type);
  if (request === undefined) throw new Error(`the engine has no request of type ${RequestType[type]}`);
  return request as Request;
}

async function answer(
  machine: OlmMachine,
  { id, type }: { readonly id: string | undefined; readonly type: RequestType },
  body: object,
): Promise<void> {
  if (id === undefined) throw new Error("a request without an id has no answer");
  await machine.markRequestAsSent(id, type, JSON.stringify(body));
}
