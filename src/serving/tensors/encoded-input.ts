/** An input whose rows came as files: a decoder of the signature turns them into its tensor later, beside the event loop. */
export type EncodedInput = {
  readonly name: string;
  /** One a row. */
  readonly files: readonly Uint8Array[];
  /** Where each of them stands in the body, as JSON pointers. */
  readonly pointers: readonly string[];
};
