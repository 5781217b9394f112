/** Data capture of SageMaker endpoints: JSON lines of input, output and metadata; payloads are CSV, JSON, or bytes in base64. */
import { createCsvScanner } from '../../base/csv.ts';
import {
  cellOf,
  ForeignFault,
  type ForeignPrediction,
  type ForeignRow,
  idOf,
  type Names,
  rowsOf,
  timeOf,
} from './foreign-prediction.ts';

type Part = { readonly data?: unknown; readonly encoding?: unknown; readonly observedContentType?: unknown };

/** @throws ForeignFault */
export function readSagemakerCapture(record: Record<string, unknown>, names: Names): ForeignPrediction {
  const capture = record['captureData'] as { endpointInput?: Part; endpointOutput?: Part } | undefined;
  const about = (record['eventMetadata'] ?? {}) as Record<string, unknown>;
  if (typeof capture !== 'object' || capture === null) throw new ForeignFault('has no captureData');
  const atMs = timeOf(about['inferenceTime']);
  if (atMs === null) throw new ForeignFault('has no eventMetadata.inferenceTime');
  const id = about['inferenceId'] ?? about['eventId'];
  return {
    id: typeof id === 'string' && id !== '' ? id : idOf('sagemaker', JSON.stringify(record)),
    atMs,
    model: null,
    version: null,
    latencyMs: null,
    status: 'answered',
    inputs: rowsOfPart(capture.endpointInput, names.inputs),
    outputs: rowsOfPart(capture.endpointOutput, names.outputs),
  };
}

function rowsOfPart(part: Part | undefined, names: readonly string[]): ForeignRow[] {
  if (part?.data === undefined || part.data === null) return [];
  const type = String(part.observedContentType ?? '').toLowerCase();
  const encoding = String(part.encoding ?? '').toUpperCase();
  const text = encoding === 'BASE64' ? Buffer.from(String(part.data), 'base64').toString() : part.data;
  if (typeof text !== 'string') return rowsOf(text, names);
  const isJson = encoding === 'JSON' || type.includes('json');
  if (isJson) {
    // JSON lines have an object each; a document is one.
    try {
      return rowsOf(JSON.parse(text), names);
    } catch {
      try {
        const lines = text.split('\n').filter((line) => line.trim() !== '');
        return lines.flatMap((line) => rowsOf([JSON.parse(line)], names));
      } catch {
        throw new ForeignFault('has a payload that is no JSON');
      }
    }
  }
  if (encoding !== 'CSV' && !type.includes('csv') && !type.includes('text'))
    throw new ForeignFault('has a payload that is neither CSV nor JSON');
  try {
    const rows = [...createCsvScanner(null).scan(text, true)].map(({ fields }) => fields);
    return rows.map((fields) =>
      Object.fromEntries(fields.map((field, at) => [names[at] ?? String(at), cellOf(field)])),
    );
  } catch {
    throw new ForeignFault('has a payload that is no CSV');
  }
}
