/** Versions as TorchServe writes them: `1.0`. Here they are whole numbers, and either form is taken. */

export function versionName(version: number): string {
  return `${version}.0`;
}

/** The number as text; what is none as it came, so that it names no version. */
export function versionNumber(text: string): string {
  return /^\d+\.0$/.test(text) ? text.slice(0, -2) : text;
}
