/** What a caller sent, fit to be shown back: bounded, and without control characters. */
export function shown(text: string): string {
  const clean = text.replace(/[^\x20-\x7e\xa0-\uffff]/g, '?');
  return clean.length > 100 ? `${clean.slice(0, 100)}…` : clean;
}
