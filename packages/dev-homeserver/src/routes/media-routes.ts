import type { AuthenticatedCall } from "../http/call.ts";
import { authenticated, ContentAnswer, type Route, upload } from "../http/router.ts";
import { parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

/** Files: uploaded by anybody who is logged in, and given out to such only. */
export function mediaRoutes({ media }: Services): Route[] {
  const config = () => ({ "m.upload.size": media.maxBytes });
  const download = (call: AuthenticatedCall): ContentAnswer => {
    const file = media.get(parameter(call, "serverName"), parameter(call, "mediaId"));
    const name = parameter(call, "fileName") || file.fileName;
    const named = name === undefined ? "" : `; filename*=utf-8''${encodeURIComponent(name)}`;
    return new ContentAnswer(file, { "content-disposition": `attachment${named}` });
  };
  return [
    upload("POST", "/_matrix/media/v3/upload", ({ content, query }) => ({
      content_uri: media.add({
        type: content.type || "application/octet-stream",
        bytes: content.bytes,
        fileName: query.get("filename") ?? undefined,
      }),
    })),
    authenticated("GET", "/_matrix/client/v1/media/config", config),
    authenticated("GET", "/_matrix/media/v3/config", config),
    authenticated("GET", "/_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName?}", download),
  ];
}
