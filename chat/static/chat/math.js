// TeX, as models write it, as MathML. What is unknown stands in the formula as it was written.

const SPACE = "http://www.w3.org/1998/Math/MathML";
const DEEPEST = 60;
const LONGEST = 4000;

const words = (text) => new Map(text.trim().split(/\s+/).map((pair) => pair.split(":")));

const LETTERS = words(`alpha:α beta:β gamma:γ delta:δ epsilon:ϵ varepsilon:ε zeta:ζ eta:η theta:θ vartheta:ϑ iota:ι
  kappa:κ lambda:λ mu:μ nu:ν xi:ξ pi:π varpi:ϖ rho:ρ varrho:ϱ sigma:σ varsigma:ς tau:τ upsilon:υ phi:ϕ varphi:φ chi:χ
  psi:ψ omega:ω Gamma:Γ Delta:Δ Theta:Θ Lambda:Λ Xi:Ξ Pi:Π Sigma:Σ Upsilon:Υ Phi:Φ Psi:Ψ Omega:Ω infty:∞ partial:∂
  nabla:∇ hbar:ℏ ell:ℓ Re:ℜ Im:ℑ aleph:ℵ emptyset:∅ varnothing:∅ imath:ı jmath:ȷ angle:∠ top:⊤ bot:⊥ degree:° wp:℘
  triangle:△ square:□ blacksquare:■ checkmark:✓ dagger:† star:⋆ prime:′ ldots:… dots:… cdots:⋯ vdots:⋮ ddots:⋱`);
const OPERATORS = words(`times:× div:÷ cdot:⋅ pm:± mp:∓ ast:∗ circ:∘ bullet:• oplus:⊕ otimes:⊗ odot:⊙ cup:∪ cap:∩
  setminus:∖ land:∧ wedge:∧ lor:∨ vee:∨ neg:¬ lnot:¬ le:≤ leq:≤ leqslant:≤ ge:≥ geq:≥ geqslant:≥ ne:≠ neq:≠ equiv:≡
  approx:≈ sim:∼ simeq:≃ cong:≅ propto:∝ ll:≪ gg:≫ in:∈ notin:∉ ni:∋ subset:⊂ subseteq:⊆ supset:⊃ supseteq:⊇ perp:⊥
  parallel:∥ mid:∣ nmid:∤ forall:∀ exists:∃ nexists:∄ to:→ rightarrow:→ leftarrow:← gets:← leftrightarrow:↔
  Rightarrow:⇒ Leftarrow:⇐ Leftrightarrow:⇔ implies:⟹ iff:⟺ mapsto:↦ longrightarrow:⟶ Longrightarrow:⟹ uparrow:↑
  downarrow:↓ hookrightarrow:↪ rightharpoonup:⇀ therefore:∴ because:∵ models:⊨ vdash:⊢ prec:≺ succ:≻ colon:: lt:< gt:>
  triangleq:≜ doteq:≐ asymp:≍`);
const LARGE = words(`sum:∑ prod:∏ coprod:∐ int:∫ iint:∬ iiint:∭ oint:∮ bigcup:⋃ bigcap:⋂ bigoplus:⨁ bigotimes:⨂
  bigvee:⋁ bigwedge:⋀`);
const FENCES = words(`langle:⟨ rangle:⟩ lfloor:⌊ rfloor:⌋ lceil:⌈ rceil:⌉ lbrace:{ rbrace:} lbrack:[ rbrack:] vert:|
  lvert:| rvert:| Vert:‖ lVert:‖ rVert:‖ |:‖ {:{ }:}`);
const ACCENTS = words(`hat:^ widehat:^ bar:¯ overline:¯ vec:→ overrightarrow:→ tilde:~ widetilde:~ dot:˙ ddot:¨ check:ˇ
  overbrace:⏞ mathring:˚`);
const BELOW = words("underline:_ underbrace:⏟");
const NAMED = new Set(`sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp det dim ker deg gcd hom
  arg Pr`.split(/\s+/));
const LIMITS = new Set("lim max min sup inf limsup liminf argmax argmin".split(" "));
const GAPS = words("quad:1em qquad:2em ,:0.17em ::0.22em ;:0.28em !:-0.17em thinspace:0.17em enspace:0.5em");
const STYLES = words("mathbf:bold boldsymbol:bold bm:bold mathbb:double mathcal:script mathscr:script mathfrak:fraktur");
const UPRIGHT = new Set(["text", "textrm", "mathrm", "textbf", "textit", "mathit", "mathsf", "mathtt", "operatorname", "mbox", "texttt"]);
const IGNORED = new Set(["displaystyle", "textstyle", "limits", "nolimits", "nonumber", "notag", "label", "hline", "mathstrut", "middle"]);
const BIG = /^(?:big|Big|bigg|Bigg)[lrm]?$/;
const AROUND = words("pmatrix:() bmatrix:[] Bmatrix:{} vmatrix:|| Vmatrix:‖‖ cases:{");
const DOUBLE = words("C:ℂ H:ℍ N:ℕ P:ℙ Q:ℚ R:ℝ Z:ℤ");
const FIRST = { bold: [0x1d400, 0x1d41a], double: [0x1d538, 0x1d552], script: [0x1d4d0, 0x1d4ea], fraktur: [0x1d56c, 0x1d586] };

const TOKEN = /\\(?:[A-Za-z]+\*?|[\s\S])|\s+|\d+(?:[.,]\d+)*|[\s\S]/gu;

/** Return a formula as an element; null where it is none that can be read. */
export function set(source, display) {
  if (source.length > LONGEST) return null;
  try {
    const reader = new Reader(source.match(TOKEN) ?? []);
    const row = element("mrow", ...reader.rows(() => false, true));
    const math = element("math", row);
    if (display) math.setAttribute("display", "block");
    return math;
  } catch {
    // Whatever went wrong with it: its source is shown, and the rest of the page goes on.
    return null;
  }
}

class Unreadable extends Error {}

function element(name, ...children) {
  const made = document.createElementNS(SPACE, name);
  made.append(...children);
  return made;
}

class Reader {
  constructor(tokens) {
    this.tokens = tokens;
    this.at = 0;
    this.depth = 0;
  }

  get next() {
    return this.tokens[this.at];
  }

  take() {
    const token = this.tokens[this.at];
    this.at += 1;
    return token;
  }

  gap() {
    while (this.next !== undefined && /^\s/.test(this.next)) this.at += 1;
  }

  /** Read to where `ends` says so; lines and columns make a table. */
  rows(ends, top = false) {
    const lines = [[[]]];
    for (;;) {
      this.gap();
      if (this.next === undefined) {
        if (!top) throw new Unreadable();
        break;
      }
      if (ends(this.next)) break;
      if (this.next === "\\\\" || this.next === "\\cr") {
        this.take();
        if (this.next === "[") this.skipTo("]");
        lines.push([[]]);
      } else if (this.next === "&") {
        this.take();
        lines.at(-1).push([]);
      } else {
        this.one(lines.at(-1).at(-1));
      }
    }
    if (lines.length === 1 && lines[0].length === 1) return lines[0][0];
    if (lines.at(-1).every((cell) => cell.length === 0)) lines.pop();
    const rows = lines.map((line) => element("mtr", ...line.map((cell) => element("mtd", ...cell))));
    return [element("mtable", ...rows)];
  }

  skipTo(end) {
    while (this.next !== undefined && this.take() !== end);
  }

  /** Read one thing with its indices, and add it to `row`. */
  one(row) {
    this.depth += 1;
    if (this.depth > DEEPEST) throw new Unreadable();
    let base = "^_'".includes(this.next) ? element("mrow") : this.atom();
    this.depth -= 1;
    if (base === null) return;
    let [below, above] = [null, null];
    for (;;) {
      this.gap();
      if (this.next === "\\limits" || this.next === "\\nolimits") this.take();
      else if (this.next === "_" && !below) below = (this.take(), this.argument());
      else if (this.next === "^" && !above) above = (this.take(), this.argument());
      else if (this.next === "'" && !above) above = this.primes();
      else break;
    }
    const names = base.limits ? ["munder", "mover", "munderover"] : ["msub", "msup", "msubsup"];
    if (below && above) base = element(names[2], base, below, above);
    else if (below) base = element(names[0], base, below);
    else if (above) base = element(names[1], base, above);
    row.push(base);
  }

  primes() {
    let marks = "";
    while (this.next === "'") marks += (this.take(), "′");
    return element("mo", marks);
  }

  /** Read what stands in braces, or one thing. */
  argument() {
    this.gap();
    if (this.next === undefined) throw new Unreadable();
    if (this.next === "{") return this.group();
    if (/^\d/.test(this.next) && this.next.length > 1) {
      // In `x^10`, only the first figure stands above.
      const number = this.next;
      this.tokens[this.at] = number.slice(1);
      return element("mn", number[0]);
    }
    const before = this.at;
    this.depth += 1;
    if (this.depth > DEEPEST) throw new Unreadable();
    const read = this.atom() ?? element("mrow");
    this.depth -= 1;
    if (this.at === before) throw new Unreadable();
    return read;
  }

  group() {
    this.take();
    this.depth += 1;
    if (this.depth > DEEPEST) throw new Unreadable();
    const row = element("mrow", ...this.rows((token) => token === "}"));
    this.depth -= 1;
    this.take();
    return row;
  }

  /** Return what stands in braces as it is written. */
  verbatim() {
    this.gap();
    if (this.next !== "{") return this.next === undefined ? "" : this.take();
    let [text, open] = ["", 0];
    do {
      const token = this.take();
      if (token === undefined) throw new Unreadable();
      open += token === "{" ? 1 : token === "}" ? -1 : 0;
      text += /^\\[{}$%&#_ ]$/.test(token) ? token[1] : token;
    } while (open > 0);
    return text.slice(1, -1);
  }

  atom() {
    const token = this.next;
    if (token === "{") return this.group();
    if ("}&^_".includes(token)) throw new Unreadable();
    this.take();
    if (token.startsWith("\\")) return this.command(token.slice(1));
    if (/^\d/.test(token)) return element("mn", token);
    if (/^\p{L}/u.test(token)) return element("mi", token);
    if (token === "~") return this.space("0.28em");
    return this.operator(token === "-" ? "−" : token === "*" ? "∗" : token, /^[()[\]|]$/.test(token) ? "false" : null);
  }

  operator(text, stretchy = null) {
    const made = element("mo", text);
    if (stretchy) made.setAttribute("stretchy", stretchy);
    return made;
  }

  space(width) {
    const made = element("mspace");
    made.setAttribute("width", width);
    return made;
  }

  command(name) {
    if (LETTERS.has(name)) return element("mi", LETTERS.get(name));
    if (OPERATORS.has(name)) return this.operator(OPERATORS.get(name));
    if (LARGE.has(name)) return Object.assign(this.operator(LARGE.get(name)), { limits: !name.endsWith("int") });
    if (NAMED.has(name)) return element("mi", name);
    if (LIMITS.has(name)) return Object.assign(element("mi", name.replace(/^(lim|arg)(?=.)/, "$1 ")), { limits: true });
    if (FENCES.has(name)) return this.operator(FENCES.get(name), "false");
    if (GAPS.has(name)) return this.space(GAPS.get(name));
    if (name === " ") return this.space("0.28em");
    if (IGNORED.has(name)) return null;
    if (BIG.test(name)) return this.operator(this.fence(), "true");
    if (UPRIGHT.has(name) || name === "operatorname*") return element("mtext", this.verbatim().replace(/^\s+|\s+$/g, "\u00a0"));
    if (STYLES.has(name)) return this.styled(STYLES.get(name));
    if (ACCENTS.has(name)) return this.marked("mover", ACCENTS.get(name), name === "overbrace");
    if (BELOW.has(name)) return this.marked("munder", BELOW.get(name), name === "underbrace");
    if (/^[dtc]?frac$/.test(name)) return element("mfrac", this.argument(), this.argument());
    if (/^[dt]?binom$/.test(name)) return this.binom();
    if (name === "sqrt") return this.root();
    if (name === "left") return this.fenced();
    if (name === "begin") return this.environment();
    if (name === "overset" || name === "stackrel") return this.swapped("mover");
    if (name === "underset") return this.swapped("munder");
    if (name === "pmod") return element("mrow", this.operator("("), element("mi", "mod"), this.space("0.28em"), this.argument(), this.operator(")"));
    if (name === "bmod" || name === "mod") return this.operator("mod");
    if (name === "boxed") return element("mrow", this.argument());
    if (name === "tag") return element("mtext", ` (${this.verbatim()})`);
    if (name === "not") return this.operator(`${this.argument().textContent}\u0338`);
    if (name === "right" || name === "end") throw new Unreadable();
    if (/^[%$#&_]$/.test(name)) return this.operator(name);
    return element("mtext", `\\${name}`);
  }

  styled(style) {
    const letters = [...this.verbatim()].map((letter) => {
      if (style === "double" && DOUBLE.has(letter)) return DOUBLE.get(letter);
      const [upper, lower] = FIRST[style];
      if (/[A-Z]/.test(letter)) return String.fromCodePoint(upper + letter.charCodeAt(0) - 65);
      if (/[a-z]/.test(letter)) return String.fromCodePoint(lower + letter.charCodeAt(0) - 97);
      return letter;
    });
    const text = letters.join("");
    // What is more than letters is read as a formula of its own.
    if (!/\\/.test(text)) return element("mi", text);
    const source = text.normalize("NFKC").match(TOKEN) ?? [];
    return element("mrow", ...new Reader(source).rows(() => false, true));
  }

  marked(name, mark, limits) {
    const made = element(name, this.argument(), this.operator(mark, limits || mark === "¯" || mark === "_" ? "true" : null));
    if (name === "mover") made.setAttribute("accent", "true");
    return Object.assign(made, { limits });
  }

  swapped(name) {
    const mark = this.argument();
    return element(name, this.argument(), mark);
  }

  binom() {
    const fraction = element("mfrac", this.argument(), this.argument());
    fraction.setAttribute("linethickness", "0");
    return element("mrow", this.operator("("), fraction, this.operator(")"));
  }

  root() {
    this.gap();
    if (this.next !== "[") return element("msqrt", this.argument());
    this.take();
    const degree = element("mrow", ...this.rows((token) => token === "]"));
    this.take();
    return element("mroot", this.argument(), degree);
  }

  fence() {
    this.gap();
    const token = this.take();
    if (token === undefined) throw new Unreadable();
    if (token === ".") return "";
    return token.startsWith("\\") ? (FENCES.get(token.slice(1)) ?? OPERATORS.get(token.slice(1)) ?? token) : token;
  }

  fenced() {
    const opening = this.fence();
    const inner = this.rows((token) => token === "\\right");
    this.take();
    const closing = this.fence();
    return element("mrow", ...[opening && this.operator(opening, "true"), ...inner, closing && this.operator(closing, "true")].filter(Boolean));
  }

  environment() {
    const name = this.verbatim().replace(/\*$/, "");
    this.gap();
    if (name === "array" && this.next === "{") this.verbatim();
    const inner = this.rows((token) => token === "\\end");
    this.take();
    this.verbatim();
    const [opening, closing] = AROUND.get(name) ?? "";
    const table = element("mrow", ...inner);
    if (name === "cases" || name.startsWith("align") || name === "split") table.setAttribute("class", "aligned");
    return element("mrow", ...[opening && this.operator(opening, "true"), table, closing && this.operator(closing, "true")].filter(Boolean));
  }
}
