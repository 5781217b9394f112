import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { addressOf, useSearchText } from '../address.ts';
import { Empty, Page } from '../parts/page.tsx';
import { Status, toneOf } from '../parts/status.tsx';
import { PAGE_ROWS, PagedTable } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { useProject } from '../session.tsx';

export function Endpoints() {
  const { client, project } = useProject();
  const after = useSearchText('after');
  const endpoints = useQuery({
    queryKey: ['endpoints', project, 'page', after],
    queryFn: () => client.endpoints.list({ limit: PAGE_ROWS }).page(after),
  });
  return (
    <Page title="Endpoints" about="What clients call, and which version answers.">
      <PagedTable
        label="Endpoints"
        query={endpoints}
        idOf={(row) => row.name}
        empty={
          <Empty command="bin/slipway deploy ./model.onnx --name churn">
            There is no endpoint yet. <Link to="/upload">Upload a model</Link>, or type:
          </Empty>
        }
        columns={[
          { title: 'Endpoint', cell: (row) => <Link to={addressOf.endpoint(row.name)}>{row.name}</Link> },
          { title: 'State', cell: (row) => <Status tone={toneOf(row.status.state)}>{row.status.state}</Status> },
          { title: 'Environment', cell: (row) => <span className="environment">{row.environment}</span> },
          {
            title: 'Serves',
            cell: (row) => (row.status.servingVersion === null ? '–' : `${row.model}@${row.status.servingVersion}`),
          },
          {
            title: 'Follows',
            cell: (row) => ('alias' in row.target ? `alias ${row.target.alias}` : `version ${row.target.version}`),
          },
          { title: 'Reason', kind: 'wide', cell: (row) => row.status.reason ?? '–' },
          { title: 'Seen', cell: (row) => <When at={row.status.observedAt} /> },
        ]}
      />
    </Page>
  );
}
