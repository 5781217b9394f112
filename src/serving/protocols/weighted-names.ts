export type WeightedName = { readonly name: string; readonly weight: number };

/**
 * What a list such as that of Accept or Accept-Encoding names, in lower case, each with its weight (RFC 9110 §12.4.2): 1 where none is given;
 * 0, which asks for nothing, where it is none.
 */
export function weightedNames(header: string): WeightedName[] {
  return header
    .slice(0, 1000)
    .toLowerCase()
    .split(',')
    .map((part) => {
      const [name = '', ...parameters] = part.split(';').map((text) => text.trim());
      return { name, weight: weightOf(parameters) };
    });
}

function weightOf(parameters: readonly string[]): number {
  const given = parameters.find((one) => one.startsWith('q='));
  if (given === undefined) return 1;
  return /^q=(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(given) ? Number(given.slice(2)) : 0;
}
