/** From tokens to what can be drawn: cells of whole glyphs, and whitespace that can be seen. */

/** Cells of a strip: tokens of one glyph share one. Returns [{first, count, text, special}, ...]. */
export function cellsOf(tokens) {
  const cells = [];
  tokens.forEach((token, position) => {
    const last = cells.at(-1);
    if (last && tokens[last.first].glyph === token.glyph && !token.special) {
      last.count += 1;
      last.text += token.text;
    } else {
      cells.push({ first: position, count: 1, text: token.text, special: token.special });
    }
  });
  return cells;
}

// Characters with no ink of their own, and those that would reorder the text around them.
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u;
const PIECES = new RegExp(`\\n|\\t| +|${INVISIBLE.source}|[^\\n\\t ]`, 'gu');

/**
 * A token's text as [{kind, text}]: 'text', 'space' (a stand-in for whitespace), 'code' (a code point without ink) and 'break'.
 * A single space before a word stays a space, since that is how most tokens begin; others become middle dots.
 */
export function pieces(text) {
  const result = [];
  for (const { 0: piece, index } of text.matchAll(PIECES)) {
    if (piece === '\n') result.push({ kind: 'space', text: '⏎' }, { kind: 'break', text: '\n' });
    else if (piece === '\t') result.push({ kind: 'space', text: '→' });
    else if (piece[0] === ' ') result.push(spaces(piece, index, text));
    else if (INVISIBLE.test(piece)) result.push({ kind: 'code', text: codePoint(piece) });
    else if (result.at(-1)?.kind === 'text') result.at(-1).text += piece;
    else result.push({ kind: 'text', text: piece });
  }
  return result;
}

function spaces(run, index, text) {
  const ends = index + run.length === text.length || text[index - 1] === '\n';
  const plain = run.length === 1 && !ends;
  return plain ? { kind: 'text', text: ' ' } : { kind: 'space', text: '·'.repeat(run.length) };
}

function codePoint(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** A token's text on one line, as in lists and tables; a token that continues a glyph has none of its own. */
export function shown(text) {
  const line = pieces(text).filter(({ kind }) => kind !== 'break').map((piece) => piece.text).join('');
  return line || '⋯';
}

/** A token's text as it is read aloud. */
export function spoken(text) {
  const names = { '\n': 'line break', ' ': 'space', '\t': 'tab', '': 'continuation of the glyph before' };
  return names[text] ?? `'${text.trim() || shown(text)}'`;
}

/** A special token's name as on its pill: `<|eos|>` is EOS. */
export function pillName(text) {
  return text.replace(/^[<[|]+|[\]>|]+$/g, '').toUpperCase() || text;
}
