// The server's own rendering of a message.
//
// XMLHttpRequest parses it into a document in which no script runs: unlike
// `innerHTML`, that needs no string that becomes markup in this page.

/** Return the elements of a page's body; rejects where the server did not answer with a page. */
export function fragment(path) {
  return new Promise((resolve, reject) => {
    const asking = new XMLHttpRequest();
    asking.open("GET", path);
    asking.responseType = "document";
    asking.onload = () => {
      const here = new URL(asking.responseURL).pathname === path;
      if (asking.status === 200 && here) resolve([...document.importNode(asking.response.body, true).children]);
      else reject(new Error(`${asking.status}`));
    };
    asking.onerror = () => reject(new Error("unreachable"));
    asking.send();
  });
}
