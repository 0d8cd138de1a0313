// @ts-check
/** A file on its way to the server; only this way a browser tells how much of it was sent. */

import { ApiError } from "../api.js";

/**
 * @param {string} path @param {Record<string, string>} query @param {File} file @param {AbortSignal} signal @param {(share: number) => void} told
 * @returns {Promise<any>}
 */
export function upload(path, query, file, signal, told) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
    request.open("POST", `${path}?${search}`);
    request.setRequestHeader("content-type", "text/csv");
    request.setRequestHeader("accept", "application/json");
    request.upload.addEventListener("progress", (event) => event.lengthComputable && told(event.loaded / event.total));
    request.upload.addEventListener("load", () => told(1));
    request.addEventListener("load", () => {
      let answer = null;
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // An answer that cannot be read is told by its status.
      }
      // A refusal of every row is a receipt too.
      if (request.status < 300 || answer?.received !== undefined) resolve(answer);
      else reject(new ApiError(request.status, answer));
    });
    request.addEventListener("error", () => reject(new ApiError(0, { title: "The server does not answer", detail: "The import broke off. Sending the same again goes on from there." })));
    request.addEventListener("abort", () => reject(new ApiError(0, { title: "Stopped" })));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
