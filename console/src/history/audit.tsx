import type { AuditRecord } from '@slipway/sdk';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useSearchText, useSetSearch } from '../address.ts';
import { clientOf } from '../api.ts';
import { count } from '../parts/figures.ts';
import { Empty, Page, Tabs } from '../parts/page.tsx';
import { Problem } from '../parts/problem.tsx';
import { Status } from '../parts/status.tsx';
import { PAGE_ROWS, PagedTable } from '../parts/table.tsx';
import { Value } from '../parts/value.tsx';
import { When } from '../parts/when.tsx';
import { useRefusal } from '../session.tsx';
import { historyTabs } from './history.tsx';

export function Audit() {
  const refusal = useRefusal('admin');
  return (
    <Page title="History" about="Who did what. Each record carries the hash of the one before.">
      <Tabs tabs={historyTabs} />
      {refusal === null ? <Records /> : <p>{refusal} The audit log is for administrators.</p>}
    </Page>
  );
}

function Records() {
  const setSearch = useSetSearch();
  const after = useSearchText('after');
  const actor = useSearchText('actor');
  const action = useSearchText('action');
  const resource = useSearchText('resource');
  const records = useQuery({
    queryKey: ['history', 'audit', after, actor, action, resource],
    queryFn: () =>
      clientOf('default')
        .audit.list({
          limit: PAGE_ROWS,
          ...(actor ? { actor } : {}),
          ...(action ? { action } : {}),
          ...(resource ? { resource } : {}),
        })
        .page(after),
  });
  const verify = useMutation({ mutationFn: () => clientOf('default').audit.verify() });
  return (
    <>
      <div className="row-of">
        <button type="button" disabled={verify.isPending} onClick={() => verify.mutate()}>
          {verify.isPending ? 'Reading all of it…' : 'Verify the chain'}
        </button>
        {verify.data &&
          (verify.data.intact ? (
            <Status tone="good">intact, verified to record {count(verify.data.records)}</Status>
          ) : (
            <Status tone="bad">broken at record {verify.data.brokenAt}</Status>
          ))}
        {!verify.data && !verify.isError && <Status tone="unknown">not verified by this page</Status>}
        {verify.isError && <Problem error={verify.error} />}
      </div>
      <form
        key={`${actor} ${action} ${resource}`}
        className="row-of filter"
        onSubmit={(event) => {
          event.preventDefault();
          const form = new FormData(event.currentTarget);
          const word = (name: string) => String(form.get(name) ?? '').trim() || undefined;
          setSearch({ actor: word('actor'), action: word('action'), resource: word('resource'), after: undefined });
        }}
      >
        <label className="field">
          By
          <input name="actor" defaultValue={actor} placeholder="key:admin" />
        </label>
        <label className="field">
          Action
          <input name="action" defaultValue={action} placeholder="endpoint.update" />
        </label>
        <label className="field">
          Thing
          <input name="resource" defaultValue={resource} placeholder="endpoint/churn" />
        </label>
        <button type="submit" className="main">
          Find
        </button>
      </form>
      <PagedTable<AuditRecord>
        label="Audit log, the newest first"
        query={records}
        idOf={(row) => String(row.seq)}
        empty={<Empty>No record matches.</Empty>}
        columns={[
          { title: 'No.', kind: 'number', cell: (row) => row.seq },
          { title: 'When', cell: (row) => <When at={row.at} /> },
          { title: 'By', cell: (row) => row.actor },
          { title: 'Action', cell: (row) => <code>{row.action}</code> },
          { title: 'Thing', cell: (row) => <code>{row.resource}</code> },
          { title: 'Project', cell: (row) => row.project ?? '–' },
          { title: 'Reason', kind: 'wide', cell: (row) => row.reason ?? '–' },
          { title: 'Detail', cell: (row) => <Value value={row.detail} /> },
        ]}
      />
    </>
  );
}
