import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { addressOf, useSearchText } from '../address.ts';
import { share } from '../parts/figures.ts';
import { Empty, Page } from '../parts/page.tsx';
import { Status, toneOf } from '../parts/status.tsx';
import { PAGE_ROWS, PagedTable } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { useProject } from '../session.tsx';
import { stateOf } from './state-of.ts';

export function Rollouts() {
  const { client, project } = useProject();
  const after = useSearchText('after');
  const rollouts = useQuery({
    queryKey: ['rollouts', project, 'page', after],
    queryFn: () => client.rollouts.list({ limit: PAGE_ROWS }).page(after),
  });
  return (
    <Page title="Rollouts" about="Planned changes of traffic, the newest first.">
      <PagedTable
        label="Rollouts"
        query={rollouts}
        idOf={(row) => row.id}
        empty={
          <Empty command="bin/slipway rollouts start credit-risk --to latest --strategy canary">
            No traffic was ever moved in steps. A rollout starts on an endpoint's page, or with:
          </Empty>
        }
        columns={[
          { title: 'Endpoint', cell: (row) => <Link to={addressOf.rollout(row.endpoint)}>{row.endpoint}</Link> },
          { title: 'State', cell: (row) => <Status tone={toneOf(stateOf(row))}>{stateOf(row)}</Status> },
          { title: 'From → to', cell: (row) => `${row.from?.version ?? '–'} → ${row.to.version}` },
          { title: 'Strategy', cell: (row) => row.strategy },
          { title: 'Weight', kind: 'number', cell: (row) => share(row.weight.observed ?? row.weight.asked) },
          { title: 'Started', cell: (row) => <When at={row.startedAt} /> },
          { title: 'By', cell: (row) => row.startedBy },
          { title: 'What happened', kind: 'wide', cell: (row) => row.text },
        ]}
      />
    </Page>
  );
}
