import { SlipwayError } from '../../../base/errors.ts';
import type { Artifact } from '../importer.ts';
import { readText } from '../stored-source.ts';

const MAX_BYTES = 256 * 1024;
const MAX_LINES = 500;
/** A PEP 508 requirement by name: extras, version specifiers and a marker; no URL. */
const REQUIREMENT =
  /^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[A-Za-z0-9._,\s-]*\])?\s*(\(?(?:(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*\)?)\s*(;.*)?$/;

export type Requirement = { readonly name: string; readonly line: string; readonly isPinned: boolean };

/**
 * Reads a requirements.txt, by the lines that name a package. What would fetch from elsewhere, run a build or read other files is refused: an
 * environment is made of wheels by name, so that it can be made again.
 * @throws SlipwayError `model_invalid` with the line
 */
export function parseRequirements(text: string, path: string): Requirement[] {
  const found: Requirement[] = [];
  const lines = text.replaceAll('\r\n', '\n').replace(/\\\n/g, ' ').split('\n');
  for (const [at, raw] of lines.entries()) {
    const line = raw
      .replace(/(^|\s)#.*$/, '')
      .replace(/\s--hash[= ]\S+/g, '')
      .trim();
    if (line === '') continue;
    const match = REQUIREMENT.exec(line);
    if (match === null) throw notByName(path, at + 1, line);
    if (found.length === MAX_LINES)
      throw new SlipwayError('model_invalid', `${path} has more than ${MAX_LINES} requirements`);
    found.push({
      name: normalName(match[1]!),
      line,
      isPinned: /(^|[^!<>~])===?[^=]/.test(line) && !line.includes('*'),
    });
  }
  return found;
}

/** Package names are compared in lower case, with -, _ and . alike (PEP 503). */
export function normalName(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, '-');
}

export function readRequirements(artifact: Artifact, path: string): Requirement[] | null {
  const file = artifact.byPath.get(path);
  return file === undefined ? null : parseRequirements(readText(file, MAX_BYTES), path);
}

/** What people should know of requirements that may mean another thing tomorrow. */
export function requirementWarnings(found: readonly Requirement[]): string[] {
  const loose = found.filter((one) => !one.isPinned).map((one) => one.name);
  if (loose.length === 0) return [];
  const names = loose.slice(0, 8).join(', ') + (loose.length > 8 ? `, and ${loose.length - 8} more` : '');
  return [
    `${names} ${loose.length === 1 ? 'is' : 'are'} not pinned to one version: the environment has the newest that fit today, and an environment made elsewhere may have others.`,
  ];
}

function notByName(path: string, line: number, text: string): SlipwayError {
  const shown = JSON.stringify(text.slice(0, 120));
  const what = text.startsWith('-')
    ? 'is an option of pip'
    : /:\/\/|^\.|^\/|@/.test(text)
      ? 'names an address or a folder'
      : 'is no requirement';
  return new SlipwayError('model_invalid', `Line ${line} of ${path} ${what}: ${shown}`, {
    hint: 'Name packages and versions only, such as scikit-learn==1.9.1. Packages that are in no index go as wheels into the folder of SLIPWAY_WHEELS.',
  });
}
