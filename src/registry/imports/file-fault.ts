import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';

/** An error about what stands in a file that was uploaded with the model. */
export function faulty(path: string, fields: readonly FieldError[]): SlipwayError {
  const first = fields[0];
  const more = fields.length > 1 ? `, and ${fields.length - 1} more` : '';
  const at =
    first === undefined ? '' : `: ${[first.pointer, first.message].filter((part) => part !== '').join(' ')}${more}`;
  return new SlipwayError('model_invalid', `${path} is not valid${at}`, {
    fields: fields.slice(0, MAX_FIELD_ERRORS),
    hint: `Correct ${path} and push again. Its keys are described in docs/guides/model-folder.md.`,
  });
}

export function tooLarge(path: string, maxBytes: number): SlipwayError {
  return new SlipwayError('model_invalid', `${path} is larger than ${maxBytes / (1024 * 1024)} MiB`, {
    hint: 'Keep golden sets small: some dozens of cases show as much as thousands.',
  });
}
