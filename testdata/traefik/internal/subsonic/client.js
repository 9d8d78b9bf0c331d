// Asks a Subsonic server for what its first argument, as JSON, says: url, the login of the server, and headers to send.
import { SubsonicAPI } from "subsonic-api";

const { url, username, password, headers } = JSON.parse(process.argv[2]);
const api = new SubsonicAPI({
  url,
  auth: { username, password },
  fetch: (address, options) => fetch(address, { ...options, headers: { ...options?.headers, ...headers } }),
});
console.log(JSON.stringify([await api.ping(), await api.getMusicFolders()]));
