import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { addressOf, useSearchText } from '../address.ts';
import { Empty, Page } from '../parts/page.tsx';
import { PAGE_ROWS, PagedTable } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { useProject } from '../session.tsx';

export function Models() {
  const { client, project } = useProject();
  const after = useSearchText('after');
  const models = useQuery({
    queryKey: ['registry', project, 'models', after],
    queryFn: () => client.models.list({ limit: PAGE_ROWS }).page(after),
  });
  return (
    <Page
      title="Models"
      actions={
        <Link to="/upload" className="button main">
          Upload a model
        </Link>
      }
    >
      <PagedTable
        label="Models"
        query={models}
        idOf={(row) => row.name}
        empty={
          <Empty command="bin/slipway deploy ./model.onnx --name churn">
            There is no model yet. <Link to="/upload">Upload one</Link>, or type:
          </Empty>
        }
        columns={[
          { title: 'Model', cell: (row) => <Link to={addressOf.model(row.name)}>{row.name}</Link> },
          { title: 'Latest', kind: 'number', cell: (row) => row.latestVersion ?? '–' },
          {
            title: 'Aliases',
            cell: (row) =>
              Object.entries(row.aliases)
                .map(([name, version]) => `${name} → ${version}`)
                .join(', ') || '–',
          },
          { title: 'Description', kind: 'wide', cell: (row) => row.description ?? '–' },
          { title: 'Made', cell: (row) => <When at={row.createdAt} /> },
          { title: 'By', cell: (row) => row.createdBy },
        ]}
      />
    </Page>
  );
}
