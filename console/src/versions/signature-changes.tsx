import { useQuery } from '@tanstack/react-query';
import { Loaded } from '../parts/loaded.tsx';
import { Status } from '../parts/status.tsx';
import { Table } from '../parts/table.tsx';
import { useProject } from '../session.tsx';

/** What callers of one version meet when another answers them. @param from number, alias or `latest`, as `to` */
export function SignatureChanges({ model, from, to }: { model: string; from: string; to: string }) {
  const { client, project } = useProject();
  const diff = useQuery({
    queryKey: ['registry', project, 'diff', model, to, from],
    queryFn: () => client.versions.diff(model, to, from),
  });
  return (
    <Loaded query={diff}>
      {({ breaking, changes }) =>
        changes.length === 0 ? (
          <p>The signatures are the same.</p>
        ) : (
          <>
            <p>
              {breaking ? (
                <Status tone="bad">would break callers of {from}</Status>
              ) : (
                <Status tone="good">callers of {from} go on as they are</Status>
              )}
            </p>
            <Table
              label={`Difference to ${from}`}
              idOf={(row) => `${row.path} ${row.change}`}
              rows={changes}
              columns={[
                { title: 'Where', cell: (row) => <code>{row.path}</code> },
                { title: 'Change', cell: (row) => row.change },
                { title: 'From → to', cell: (row) => `${row.from ?? '–'} → ${row.to ?? '–'}` },
                {
                  title: 'Breaking',
                  cell: (row) => (row.breaking ? <Status tone="bad">yes</Status> : 'no'),
                },
                { title: 'Why', kind: 'wide', cell: (row) => row.reason },
              ]}
            />
          </>
        )
      }
    </Loaded>
  );
}
