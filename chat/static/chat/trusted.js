// Scripts of others (the administration's, the API's description) write HTML. Here all of it goes through
// a cleaner first. The chat page itself makes none from text, and does without this file.

"use strict";

if (window.trustedTypes) {
  trustedTypes.createPolicy("default", { createHTML: (html) => DOMPurify.sanitize(html) });
}
