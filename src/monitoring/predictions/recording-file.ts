/**
 * How control tells gateways what to record: one small file that is replaced as a whole. A gateway looks at it every second, so that it also
 * knows after a restart without control, and a policy holds a second after it was set.
 */
import type { PrivacyPolicy } from './privacy-policy.ts';

/** Relative to the data folder. */
export const PREDICTIONS_FOLDER = 'predictions';
export const RECORDING_FILE = `${PREDICTIONS_FOLDER}/recording.json`;
/** Lines that gateways write and control takes. */
export const SEGMENTS_FOLDER = `${PREDICTIONS_FOLDER}/segments`;
export const PANES_FOLDER = `${PREDICTIONS_FOLDER}/panes`;
/** Edges of histograms by version. */
export const REFERENCES_FOLDER = `${PREDICTIONS_FOLDER}/references`;

export type RecordingFile = {
  readonly schema: 1;
  readonly revision: number;
  /** Key of the hashes of each project, hex. */
  readonly keys: Readonly<Record<string, string>>;
  /** By `<project>/<endpoint>`; the default policy holds for those that are missing. */
  readonly policies: Readonly<Record<string, PrivacyPolicy>>;
};

/** What a version's histograms are counted between, by column. */
export type ReferenceEdges = {
  readonly schema: 1;
  readonly revision: number;
  readonly edges: Readonly<Record<string, readonly number[]>>;
};

/** @throws Error for a text that is no such file, or one of another release */
export function parseRecordingFile(text: string): RecordingFile {
  const file = JSON.parse(text) as Partial<RecordingFile>;
  if (file.schema !== 1 || typeof file.keys !== 'object' || typeof file.policies !== 'object') {
    throw new Error(`recording.json has the form ${String(file.schema)}, which this release does not know`);
  }
  for (const [name, policy] of Object.entries(file.policies ?? {})) {
    const isWhole =
      typeof policy?.sample === 'number' && typeof policy.fields === 'object' && Array.isArray(policy.slices);
    if (!isWhole) throw new Error(`recording.json has no whole policy of ${name}`);
  }
  return file as RecordingFile;
}

/** `sha256:…` as the name of a file. */
export function referenceFileName(versionDigest: string): string {
  return `${versionDigest.replace(/[^0-9a-z]/gi, '-')}.json`;
}
