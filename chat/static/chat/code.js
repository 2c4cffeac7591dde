// Blocks of code: their language above them, a button that copies, and colours.
//
// The colours come from a highlighter that is loaded with the first block, and
// from the grammars of the languages that occur.

import { all, make, one } from "./dom.js";
import { text } from "./texts.js";

// Beyond this a block would cost more than a frame.
const MOST_CHARS = 30_000;
// Grammars look back within a line and within a word: long ones would take minutes.
const LONGEST_LINE = 1000;
const LONG_WORD = /\w{101}/;

const GRAMMARS = {
  bash: () => import("./vendor/highlight/languages/bash.min.js"),
  cpp: () => import("./vendor/highlight/languages/cpp.min.js"),
  csharp: () => import("./vendor/highlight/languages/csharp.min.js"),
  css: () => import("./vendor/highlight/languages/css.min.js"),
  diff: () => import("./vendor/highlight/languages/diff.min.js"),
  dockerfile: () => import("./vendor/highlight/languages/dockerfile.min.js"),
  go: () => import("./vendor/highlight/languages/go.min.js"),
  ini: () => import("./vendor/highlight/languages/ini.min.js"),
  java: () => import("./vendor/highlight/languages/java.min.js"),
  json: () => import("./vendor/highlight/languages/json.min.js"),
  kotlin: () => import("./vendor/highlight/languages/kotlin.min.js"),
  markdown: () => import("./vendor/highlight/languages/markdown.min.js"),
  php: () => import("./vendor/highlight/languages/php.min.js"),
  python: () => import("./vendor/highlight/languages/python.min.js"),
  ruby: () => import("./vendor/highlight/languages/ruby.min.js"),
  rust: () => import("./vendor/highlight/languages/rust.min.js"),
  shell: () => import("./vendor/highlight/languages/shell.min.js"),
  sql: () => import("./vendor/highlight/languages/sql.min.js"),
  typescript: () => import("./vendor/highlight/languages/typescript.min.js"),
  xml: () => import("./vendor/highlight/languages/xml.min.js"),
  yaml: () => import("./vendor/highlight/languages/yaml.min.js"),
};

// Names that people write, and languages within languages, which need their grammars too.
const NAMES = {
  sh: "bash", zsh: "bash", console: "shell", "shell-session": "shell", c: "cpp", h: "cpp", "c++": "cpp", cc: "cpp", hpp: "cpp",
  "c#": "csharp", cs: "csharp", patch: "diff", docker: "dockerfile", golang: "go", toml: "ini", conf: "ini", env: "ini",
  javascript: "typescript", js: "typescript", jsx: "typescript", mjs: "typescript", node: "typescript", jsonc: "json", json5: "json", kt: "kotlin",
  md: "markdown", py: "python", python3: "python", py3: "python", rb: "ruby",
  rs: "rust", postgres: "sql", postgresql: "sql", mysql: "sql", sqlite: "sql", ts: "typescript", tsx: "typescript",
  html: "xml", svg: "xml", vue: "xml", django: "xml", jinja: "xml", xhtml: "xml", yml: "yaml", scss: "css", less: "css",
};
const WITHIN = { xml: ["css", "typescript"], php: ["xml"], markdown: ["xml"] };
const LANGUAGE = /^[a-z0-9+#_.-]*$/;

let core = null;
const loading = new Map();
const ready = new Set();

/** Return a block of code as the server renders it. */
export function figure(content, language) {
  const shown = LANGUAGE.test(language.toLowerCase()) ? language.toLowerCase().slice(0, 30) : "";
  const pre = make("pre", { tabIndex: 0 }, make("code", { textContent: content }));
  return make("figure", { className: "code" }, make("figcaption", {}, shown), pre);
}

const languageOf = (block) => one("figcaption", block).firstChild?.data ?? "";
const grammarOf = (name) => {
  const known = Object.hasOwn(NAMES, name) ? NAMES[name] : name;
  return Object.hasOwn(GRAMMARS, known) ? known : null;
};

/** Tell whether a text can be coloured without making the page wait. */
const isQuick = (source) =>
  source.length <= MOST_CHARS && !LONG_WORD.test(source) && source.split("\n").every((line) => line.length <= LONGEST_LINE);

/** Give every block below `root` its button, and its colours as soon as it comes near the window. */
export function decorate(root) {
  const blocks = all("figure.code", root);
  for (const block of blocks) {
    addButton(block);
    near.observe(block);
  }
}

const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      paint(entry.target);
    }
  },
  { rootMargin: "800px" },
);

/** Give a block its button; it has only one. */
export function addButton(block) {
  const caption = one("figcaption", block);
  if (one("button", caption)) return;
  const button = make("button", { type: "button", className: "code-copy" }, text("copy"));
  button.setAttribute("aria-label", text("copyCode"));
  caption.append(button);
}

/** Colour a block; at once where its grammar is there. */
export function paint(block) {
  const grammar = grammarOf(languageOf(block));
  if (!grammar || block.source?.length > MOST_CHARS) return;
  const code = one("code", block);
  if (!isQuick(code.textContent)) return;
  if (ready.has(grammar)) colour(code, grammar);
  else load(grammar).then(() => block.isConnected && colour(one("code", block), grammar), () => {});
}

/**
 * Let a block say something longer, whose beginning it says already.
 *
 * New text stands there plain at first: colouring begins anew each time, so it waits until that is worth it.
 */
export function grow(block, content) {
  const code = one("code", block);
  const before = block.source ?? code.textContent;
  block.source = content;
  if (content === before) return;
  if (!content.startsWith(before)) code.textContent = content;
  else if (code.lastChild instanceof Text) code.lastChild.appendData(content.slice(before.length));
  else code.append(content.slice(before.length));
  if (content.length > (block.painted ?? 0) * 1.2 + 40) {
    block.painted = content.length;
    paint(block);
  }
}

function load(grammar) {
  if (!loading.has(grammar)) {
    loading.set(
      grammar,
      (async () => {
        const [highlighter, language] = await Promise.all([
          import("./vendor/highlight/core.min.js"),
          GRAMMARS[grammar](),
          ...(WITHIN[grammar] ?? []).map(load),
        ]);
        core = highlighter.default;
        core.registerLanguage(grammar, language.default);
        // The one is read by the rules of the other, within a page of HTML, too.
        if (grammar === "typescript") core.registerAliases("javascript", { languageName: "typescript" });
        ready.add(grammar);
      })(),
    );
  }
  return loading.get(grammar);
}

function colour(code, grammar) {
  const source = code.textContent;
  // It may have grown while its grammar was on the way.
  if (!isQuick(source)) return;
  const { _emitter: tree } = core.highlight(source, { language: grammar, ignoreIllegals: true });
  const fragment = document.createDocumentFragment();
  place(tree.rootNode, fragment);
  // The highlighter must not change what is said.
  if (fragment.textContent === source) code.replaceChildren(fragment);
}

function place(node, parent) {
  for (const child of node.children) {
    if (typeof child === "string") {
      parent.append(child);
    } else if (child.scope) {
      const span = make("span", { className: `hl-${child.scope.split(".")[0]}` });
      place(child, span);
      parent.append(span);
    } else {
      place(child, parent);
    }
  }
}
