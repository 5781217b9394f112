/**
 * What is wrong with a body in the words of MLflow 3 (mlflow/pyfunc/scoring_server, mlflow/utils/proto_json_utils.py), which its callers know and some of them look for. What only
 * Slipway refuses stays in ours; faults with their places stand behind the words.
 */
import { SlipwayError } from '../../base/errors.ts';
import { kindOf } from '../tensors/json-elements.ts';

const INVALID = 'Invalid input.';
const NO_FRAME = "Provided dataframe_split field is not a valid dataframe representation in 'split' format. Error: ";
const NO_TABLE =
  'Failed to parse input as a Pandas DataFrame. Ensure that the input is a valid CSV-formatted Pandas DataFrame produced using the `pandas.DataFrame.to_csv()` method. Error: ';

/** Runs `read`; what it throws is told by `tell`, where that has words for it. */
export function retelling<T>(read: () => T, tell: (error: SlipwayError) => string | null): T {
  try {
    return read();
  } catch (error) {
    const text = error instanceof SlipwayError ? tell(error) : null;
    if (text === null) throw error;
    const { code, fields, hint } = error as SlipwayError;
    throw new SlipwayError(code, text, { fields, ...(hint === undefined ? {} : { hint }) });
  }
}

export function tellJson({ code, message }: SlipwayError): string | null {
  if (code !== 'invalid_json') return null;
  return `${INVALID} Ensure that input is a valid JSON formatted string. Error: '${message}'`;
}

/** @param shown the forms that there are, and what was sent instead */
export function tellForm(shown: string): string {
  return `${INVALID} ${shown}`;
}

export function tellRecords(given: unknown): string | null {
  if (Array.isArray(given)) return null;
  const type = isObject(given) ? 'dictionary' : `type ${kindOf(given)}`;
  return `${INVALID} Dataframe records format must be a list of records. Got ${type}.`;
}

export function tellSplit(given: unknown, { message, fields }: SlipwayError): string | null {
  if (!isObject(given)) {
    const type = Array.isArray(given) ? 'list' : `type ${kindOf(given)}`;
    return `${INVALID} Dataframe split format must be a dictionary. Got ${type}.`;
  }
  const keys = Object.keys(given);
  if (!keys.includes('data') || keys.some((key) => !['columns', 'data', 'index'].includes(key))) {
    const shown = keys.slice(0, 20).map((key) => `'${key.slice(0, 80)}'`);
    return `${INVALID} Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields. Got {${shown.join(', ')}}.`;
  }
  const isOfForm = /^\/dataframe_split\/(index|data\/\d+)$/.test(fields[0]?.pointer ?? '');
  return isOfForm ? `${NO_FRAME}'${message}'` : null;
}

/** Faults without a place in a column are those of the form. */
export function tellTable({ code, message, fields }: SlipwayError): string | null {
  return code === 'invalid_input' && fields[0]?.pointer === '' ? `${NO_TABLE}'${message}'` : null;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
