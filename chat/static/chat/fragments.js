// The server's own rendering of a part of a page.
//
// XMLHttpRequest parses it into a document in which no script runs: unlike
// `innerHTML`, that needs no string that becomes markup in this page.

import { Failure } from "./api.js";
import { one } from "./dom.js";
import { text } from "./texts.js";

/** Return the body of a page of ours, imported into this document; raises `Failure` for anything else. */
function bodyOf(path) {
  return new Promise((resolve, reject) => {
    const asking = new XMLHttpRequest();
    asking.open("GET", path);
    asking.responseType = "document";
    asking.onload = () => {
      const meant = new URL(path, location.href).pathname;
      const here = new URL(asking.responseURL).pathname === meant;
      if (asking.status === 200 && here) resolve(document.importNode(asking.response.body, true));
      // Whoever is not signed in any more is led to another page.
      else reject(new Failure(text("unexpected"), { status: here ? asking.status : 401, code: "unexpected" }));
    };
    asking.onerror = () => reject(new Failure(text("offline")));
    asking.send();
  });
}

/** Return the elements of a page's body. */
export const fragment = async (path) => [...(await bodyOf(path)).children];

/** Return the first element of a page that `selector` fits. */
export async function part(path, selector) {
  const found = one(selector, await bodyOf(path));
  if (!found) throw new Failure(text("unexpected"), { status: 404, code: "unexpected" });
  return found;
}
