/** What a parser promises about any bytes at all, as something that can be tried. */
export type FuzzTarget = {
  readonly name: string;
  /** Words of the format that random changes would hardly come upon. */
  readonly dictionary: readonly string[];
  /**
   * Parses the bytes.
   * @returns a short word for what became of them (the kind of error, the form of the result): an input with a new word is kept to go on from
   * @throws whatever the parser is not allowed to throw, or an Error that says which promise was broken
   */
  run(input: Buffer): string;
};

/** One input may take so long. */
export const MAX_MS = 1000;

/** The message of an error without what it quotes, so that the same refusal of other words is the same outcome. */
export function outcomeOf(message: string): string {
  return message
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\bgot: .*/s, '')
    .replace(/\d+/g, '0')
    .slice(0, 90);
}
