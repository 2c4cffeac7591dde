// A model's markdown as elements, by the rules of the server's chat/markdown.py.
//
// Both sides run the same parser. Here its tokens become elements one by one:
// nowhere is text turned into markup, so there is nothing to clean afterwards.

import MarkdownIt from "./vendor/markdown-it/markdown-it.min.js";
import { figure } from "./code.js";
import * as mend from "./mend.js";
import * as syntax from "./syntax.js";

const SCHEMES = new Set(["http", "https", "mailto"]);
const OUTSIDE = "noopener noreferrer nofollow";
const SAYING = new Set(["text", "text_special", "code_inline", "math_inline"]);
const PLAIN = new Set("p br hr blockquote ul ol li strong em s table thead tbody tr th td".split(" "));

const parser = new MarkdownIt("commonmark", { html: false, breaks: true, linkify: false, typographer: false });
parser.enable(["table", "strikethrough"]);
parser.validateLink = (address) => {
  const colon = address.indexOf(":");
  return colon > 0 && colon < address.length - 1 && SCHEMES.has(address.slice(0, colon).trim().toLowerCase());
};
syntax.extend(parser);
mend.extend(parser);

/** Return the tokens of a text; `env` keeps what references stand for, and says whether the text still grows. */
export const parse = (text, env = {}) => parser.parse(text, env);

/** Return what a text becomes. */
export const render = (text) => build(parse(text));

/** Return the elements of some tokens, in a fragment. */
export function build(tokens) {
  const fragment = document.createDocumentFragment();
  let place = fragment;
  const above = [];
  for (const token of tokens) {
    if (token.type === "inline") {
      inline(token.children, place);
    } else if (token.nesting === 1) {
      above.push(place);
      if (!token.hidden) place = open(token, place);
    } else if (token.nesting === -1) {
      place = above.pop();
    } else {
      place.append(leaf(token));
    }
  }
  return fragment;
}

function open(token, place) {
  const level = /^h(\d)$/.exec(token.tag);
  // The page has its title at the first level, and whose message it is at the second.
  const tag = level ? `h${Math.min(Number(level[1]) + 2, 6)}` : token.tag;
  if (!level && !PLAIN.has(tag)) throw new Error(`no element for ${token.type}`);
  const element = document.createElement(tag);
  if (tag === "ol" && token.attrGet("start")) element.setAttribute("start", token.attrGet("start"));
  const style = tag === "th" || tag === "td" ? (token.attrGet("style") ?? "") : "";
  if (style.startsWith("text-align:")) element.setAttribute("align", style.slice("text-align:".length));
  if (tag === "table") {
    const scroller = document.createElement("div");
    scroller.className = "table";
    scroller.tabIndex = 0;
    scroller.append(element);
    place.append(scroller);
  } else {
    place.append(element);
  }
  return element;
}

function leaf(token) {
  if (token.type === "fence") return figure(token.content, token.info.trim().split(/\s+/, 1)[0] ?? "");
  if (token.type === "code_block") return figure(token.content, "");
  if (token.type === "math_block") return formula("div", token.content);
  return document.createElement("hr");
}

function formula(tag, source) {
  const element = document.createElement(tag);
  element.className = "math";
  element.textContent = source;
  return element;
}

function inline(tokens, place) {
  const above = [];
  let links = 0;
  for (const token of tokens) {
    if (token.type === "text") {
      if (token.content) place.append(token.content);
    } else if (token.type === "code_inline") {
      const code = document.createElement("code");
      code.textContent = token.content;
      place.append(code);
    } else if (token.type === "softbreak" || token.type === "hardbreak") {
      place.append(document.createElement("br"), "\n");
    } else if (token.type === "math_inline") {
      place.append(formula("span", token.content));
    } else if (token.type === "image") {
      image(token, place, links > 0);
    } else if (token.type === "link_open") {
      // A link within a link is none.
      above.push(place);
      links += 1;
      if (links > 1) continue;
      const element = link(token.attrGet("href"), token.attrGet("title"));
      place.append(element);
      place = element;
    } else if (token.nesting === 1) {
      above.push(place);
      place = open(token, place);
    } else if (token.nesting === -1) {
      if (token.type === "link_close") links -= 1;
      place = above.pop();
    }
  }
}

function link(address, title) {
  const element = document.createElement("a");
  if (URL.canParse(address)) element.setAttribute("href", address);
  if (title) element.setAttribute("title", title);
  element.setAttribute("target", "_blank");
  element.setAttribute("rel", OUTSIDE);
  return element;
}

/** To fetch an image would tell its server that somebody reads this, so it becomes a link that names the server. */
function image(token, place, within) {
  const address = token.attrGet("src") ?? "";
  const name = plain(token.children) || address;
  if (within) {
    place.append(name);
    return;
  }
  const element = link(address, null);
  element.className = "image";
  element.append(name);
  const host = URL.canParse(address) ? new URL(address).hostname : "";
  if (host) {
    const small = document.createElement("small");
    small.textContent = host;
    element.append(" ", small);
  }
  place.append(element);
}

function plain(tokens) {
  let text = "";
  for (const token of tokens) {
    if (SAYING.has(token.type)) text += token.content;
    else if (token.type === "image") text += plain(token.children);
    else if (token.type === "softbreak" || token.type === "hardbreak") text += "\n";
  }
  return text;
}
