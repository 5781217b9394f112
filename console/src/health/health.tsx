import { useQuery } from '@tanstack/react-query';
import { clientOf } from '../api.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Facts, Page, Section } from '../parts/page.tsx';
import { Status, toneOf } from '../parts/status.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { useRefusal } from '../session.tsx';
import { Logs } from './logs.tsx';

const WORST_FIRST = { fail: 0, warn: 1, pass: 2 };

export function Health() {
  const client = clientOf('default');
  const mayRead = useRefusal('read');
  const mayAdmin = useRefusal('admin');
  const status = useQuery({ queryKey: ['health', 'status'], queryFn: () => client.status() });
  const doctor = useQuery({
    queryKey: ['health', 'doctor'],
    queryFn: () => client.doctor(),
    enabled: mayRead === null,
    staleTime: 30_000,
  });
  const settings = useQuery({
    queryKey: ['health', 'settings'],
    queryFn: () => client.settings(),
    enabled: mayAdmin === null,
  });
  return (
    <Page title="Health" about="Is the server itself well?">
      <Loaded query={status}>
        {(seen) => (
          <>
            <Facts
              facts={[
                ['Release', seen.release],
                ['Started', <When key="at" at={seen.startedAt} />],
                ['State', seen.generation],
                ['Predictions', seen.inferenceUrl ?? 'no gateway is connected'],
                ['Models', seen.counts.models],
                ['Versions', seen.counts.versions],
                ['Endpoints ready', `${seen.counts.endpointsReady} of ${seen.counts.endpoints}`],
              ]}
            />
            <Section title="Gateways">
              <Table
                label="Gateways"
                idOf={(row) => row.instance}
                rows={seen.gateways}
                columns={[
                  { title: 'Instance', cell: (row) => <code>{row.instance}</code> },
                  { title: 'Address', cell: (row) => row.httpUrl },
                  { title: 'gRPC', cell: (row) => row.grpcAddress ?? '–' },
                  {
                    title: 'State',
                    cell: (row) =>
                      row.generation >= seen.generation ? (
                        <Status tone="good">{String(row.generation)}</Status>
                      ) : (
                        <Status tone="warn">{`${row.generation}, behind`}</Status>
                      ),
                  },
                  { title: 'Seen', cell: (row) => <When at={row.observedAt} /> },
                ]}
              />
            </Section>
          </>
        )}
      </Loaded>
      <Section
        title="Checks"
        actions={
          <button type="button" onClick={() => void doctor.refetch()}>
            Check again
          </button>
        }
      >
        {mayRead ?? (
          <Loaded query={doctor}>
            {(checks) => (
              <Table
                label="Checks of the server"
                idOf={(row) => row.name}
                rows={[...checks].sort((a, b) => WORST_FIRST[a.outcome] - WORST_FIRST[b.outcome])}
                columns={[
                  { title: 'Check', cell: (row) => row.name },
                  { title: 'Outcome', cell: (row) => <Status tone={toneOf(row.outcome)}>{row.outcome}</Status> },
                  { title: 'What was seen', kind: 'wide', cell: (row) => row.detail },
                  { title: 'What to do', kind: 'wide', cell: (row) => row.fix ?? '–' },
                ]}
              />
            )}
          </Loaded>
        )}
      </Section>
      <Section title="Settings">
        {mayAdmin ?? (
          <Loaded query={settings}>
            {(rows) => (
              <Table
                label="Settings"
                idOf={(row) => row.name}
                rows={rows}
                columns={[
                  { title: 'Setting', cell: (row) => <code>{row.env}</code> },
                  { title: 'Value', cell: (row) => <code>{row.value === '' ? '–' : row.value}</code> },
                  {
                    title: 'From',
                    cell: (row) => (row.origin === 'env' ? 'environment or flag' : row.origin),
                  },
                  { title: 'Default', cell: (row) => <code>{row.default === '' ? '–' : row.default}</code> },
                  { title: 'What it is', kind: 'wide', cell: (row) => row.help },
                ]}
              />
            )}
          </Loaded>
        )}
      </Section>
      <Section title="Log">{mayAdmin ?? <Logs />}</Section>
    </Page>
  );
}
