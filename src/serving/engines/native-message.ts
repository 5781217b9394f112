/** `/onnxruntime_src/onnxruntime/core/graph/x.h:46`, `tensorprotoutils.cc:461`. */
const SOURCE_PLACE = /(?:[\w./\\-]*[/\\])?[\w.-]+\.(?:cc|cpp|cxx|c|h|hpp|cu|cuh):\d+\s*/g;
/** An absolute path of at least two parts; its last part may stay. */
const PATH = /(?<![\w.])(?:[A-Za-z]:)?(?:[/\\][\w.@+~-]+)+[/\\]([\w.@+~-]+)/g;
const ESCAPES = /\x1b\[[0-9;]*m/g;
const STAMP = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \[[VIWEF]:[^\]]*\] ?/g;
const ADDRESS = /\b0x[0-9a-f]{6,}\b/gi;
const LONGEST = 600;
/** Looked at of a message; the patterns above take time by the square of it, and the message may come from a hostile process. */
const LOOKED_AT = 2048;

/**
 * A message of native code, fit to be shown: one line without colours, log stamps, places in C++ sources, C++ function signatures,
 * folders and addresses.
 */
export function cleanNativeMessage(text: string): string {
  const plain = text.slice(0, LOOKED_AT).replace(ESCAPES, '').replace(STAMP, '').replace(/\s+/g, ' ').trim();
  const clean = withoutSourcePlaces(plain)
    .replace(PATH, '$1')
    .replace(ADDRESS, '(address)')
    .replace(/\s+/g, ' ')
    .trim();
  return clean.length > LONGEST ? `${clean.slice(0, LONGEST)}…` : clean;
}

/** After a place in a source stands the function it is in: `void a::B(int) const message`, or only its name: `Name message`. */
function withoutSourcePlaces(text: string): string {
  let out = '';
  let from = 0;
  for (const match of text.matchAll(SOURCE_PLACE)) {
    if (match.index < from) continue;
    out += text.slice(from, match.index);
    from = afterFunction(text, match.index + match[0].length);
  }
  return out + text.slice(from);
}

function afterFunction(text: string, at: number): number {
  const open = text.indexOf('(', at);
  const head = open < 0 ? '' : text.slice(at, open);
  if (open < 0 || !/^(?:[\w:<>~*&,. -]|\[[^\]]*\])+$/.test(head) || !/::|^\w+ \w+$/.test(head)) {
    const name = /^\w+ (?=\S)/.exec(text.slice(at));
    return name !== null && /[a-z][A-Z]/.test(name[0]) ? at + name[0].length : at;
  }
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '(') depth++;
    else if (text[i] === ')' && --depth === 0) {
      const tail = /^\)(?: const)?(?:::<?\w+[^ ]*)?(?: \[with [^\]]*\])? ?/.exec(text.slice(i));
      return i + (tail === null ? 1 : tail[0].length);
    }
  }
  return at;
}
