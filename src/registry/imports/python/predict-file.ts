/** `predict.py`: a function `predict` with typed parameters, and `load` where it needs something loaded first. */
import { SlipwayError } from '../../../base/errors.ts';
import type { TensorSpec } from '../../signature.ts';
import type { Importer } from '../importer.ts';
import { readText } from '../stored-source.ts';
import { findFunction, outputsOf, type Parameter, typeOf } from './annotations.ts';
import { readRequirements, requirementWarnings } from './requirements.ts';

const MAX_SOURCE_BYTES = 1024 * 1024;
const OUTPUT = 'prediction';
const FORMS =
  'Annotate with float, int, bool or str (called row by row), list[float] (all rows at once), or a tensor in quotes such as "FP32[-1, 4]"; several outputs as -> {"label": "INT64[-1]", "scores": "FP32[-1, 3]"}.';

export const predictFile: Importer = {
  format: 'python',

  detect({ byPath, about }) {
    const named = about.entry === undefined ? undefined : byPath.get(about.entry);
    if (named?.path.endsWith('.py')) return named;
    return byPath.get('predict.py') ?? null;
  },

  describe: ({ byPath }, entry) => ({
    what: `${entry.path}, a Python program${byPath.has('requirements.txt') ? ' with requirements.txt' : ' that needs the standard library only'}`,
    code: 'runs the program',
  }),

  read(artifact, entry) {
    const source = readText(entry, MAX_SOURCE_BYTES);
    const header = findFunction(source, 'predict', entry.path);
    if (header === null) {
      throw new SlipwayError('model_invalid', `${entry.path} has no function predict at its top level`, {
        hint: `Write def predict(…). ${FORMS}`,
      });
    }
    const load = findFunction(source, 'load', entry.path);
    if (load?.parameters.some((one) => !one.hasDefault)) {
      throw new SlipwayError(
        'model_invalid',
        `load in ${entry.path} (line ${load.line}) takes parameters, and is called with none`,
      );
    }
    const given = load === null ? header.parameters : header.parameters.slice(1);
    if (given.length === 0) {
      throw new SlipwayError('model_invalid', `predict in ${entry.path} (line ${header.line}) takes no inputs`, {
        hint: load === null ? FORMS : `Its first parameter is what load() gives; inputs come after it. ${FORMS}`,
      });
    }
    const inputs = given.map((one) => ({ ...inputOf(one, entry.path, header.line) }));
    const kinds = new Set(inputs.map((one) => one.kind));
    const outputs = header.returns === null ? null : outputsOf(header.returns);
    if (outputs === null) {
      throw new SlipwayError(
        'model_invalid',
        header.returns === null
          ? `predict in ${entry.path} (line ${header.line}) does not say what it returns`
          : `predict in ${entry.path} (line ${header.line}) returns ${header.returns.slice(0, 80)}, which is no type of a tensor`,
        { hint: `Write def predict(…) -> float. ${FORMS}` },
      );
    }
    for (const type of outputs.values()) kinds.add(type.kind);
    if (kinds.has('scalar') && kinds.size > 1) {
      throw new SlipwayError(
        'model_invalid',
        `predict in ${entry.path} (line ${header.line}) mixes values of one row (float) with values of all rows (list[float], tensors)`,
        {
          hint: 'Annotate either all of them by row, or none.',
        },
      );
    }
    const requirements = readRequirements(artifact, 'requirements.txt') ?? [];
    return {
      signature: {
        inputs: inputs.map(({ kind: _kind, ...spec }) => spec),
        outputs: [...outputs].map(([name, { datatype, shape }]) => ({ name: name ?? OUTPUT, datatype, shape })),
      },
      runtime: {
        loader: 'function',
        options: {
          load: load !== null,
          perRow: kinds.has('scalar'),
          byName: !outputs.has(null),
          kinds: Object.fromEntries(inputs.map(({ name, kind }) => [name, kind])),
        },
        python: artifact.about.python?.version ?? null,
        requirements: requirements.map((one) => one.line),
        network: artifact.about.python?.network === true,
      },
      memoryBytes: entry.sizeBytes,
      warnings: requirementWarnings(requirements),
    };
  },
};

function inputOf(
  { name, annotation, hasDefault }: Parameter,
  path: string,
  line: number,
): TensorSpec & { kind: string } {
  const type = annotation === null ? null : typeOf(annotation);
  if (type === null || type.datatype === 'BF16') {
    const said = annotation === null ? 'has no type' : `is ${annotation.slice(0, 80)}, which is no type of a tensor`;
    throw new SlipwayError('model_invalid', `The parameter ${name} of predict in ${path} (line ${line}) ${said}`, {
      hint: FORMS,
    });
  }
  return {
    name,
    datatype: type.datatype,
    shape: type.shape,
    ...(hasDefault ? { optional: true } : {}),
    kind: type.kind,
  };
}
