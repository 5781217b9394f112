import type { PredictRequest, TensorSpec } from '@slipway/sdk';
import { Table } from './table.tsx';
import { Value } from './value.tsx';

/** Inputs or outputs of a version, with an example of each where one is known. */
export function TensorTable({
  label,
  tensors,
  example,
}: {
  label: string;
  tensors: readonly TensorSpec[];
  example?: PredictRequest;
}) {
  const record = example && 'records' in example ? example.records[0] : example?.inputs;
  return (
    <Table
      label={label}
      idOf={(row) => row.name}
      rows={tensors}
      columns={[
        { title: 'Name', cell: (row) => <code>{row.name}</code> },
        { title: 'Type', cell: (row) => row.datatype },
        {
          title: 'Shape',
          cell: (row) =>
            `[${row.shape.map((size, i) => (size === -1 ? (row.symbols?.[i] ?? 'any') : size)).join(', ')}]`,
        },
        {
          title: 'Meaning',
          kind: 'wide',
          cell: (row) =>
            [
              row.optional ? 'optional' : '',
              row.features ? `features ${row.features.join(', ')}` : '',
              row.labels ? `labels ${row.labels.join(', ')}` : '',
              row.decoder ? `sent as ${row.decoder.kind === 'image' ? 'a picture' : 'raw bytes'}` : '',
            ]
              .filter(Boolean)
              .join('; ') || '–',
        },
        ...(record === undefined
          ? []
          : [
              {
                title: 'Example',
                cell: (row: TensorSpec) =>
                  row.name in record ? (
                    <Value value={record[row.name]} />
                  ) : row.features ? (
                    <Value value={row.features.map((name) => record[name])} />
                  ) : (
                    '–'
                  ),
              },
            ]),
      ]}
    />
  );
}
