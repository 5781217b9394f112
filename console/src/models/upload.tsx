import {
  type DeployEvent,
  type Deployed,
  type PredictRequest,
  type PredictResponse,
  parseJson,
  stringifyJson,
} from '@slipway/sdk';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { addressOf, useSearchText } from '../address.ts';
import { bytes, duration } from '../parts/figures.ts';
import { Page, Section } from '../parts/page.tsx';
import { Problem } from '../parts/problem.tsx';
import { Status } from '../parts/status.tsx';
import { useProject, useRefusal } from '../session.tsx';
import { ValidationReport } from '../versions/validation-report.tsx';

/** Files to a version, and to an endpoint that serves it: each step as it happens. */
export function UploadPage() {
  const { client } = useProject();
  const asked = useSearchText('model');
  const [model, setModel] = useState(asked ?? '');
  const [files, setFiles] = useState<File[]>([]);
  const [serve, setServe] = useState(true);
  const [breaking, setBreaking] = useState(false);
  const [events, setEvents] = useState<DeployEvent[]>([]);
  const stop = useRef<AbortController | null>(null);
  const queries = useQueryClient();
  const refusal = useRefusal('deploy', model || undefined);
  const upload = useMutation({
    mutationFn: async (): Promise<Deployed> => {
      setEvents([]);
      stop.current = new AbortController();
      const options = {
        signal: stop.current.signal,
        // Pages call no other server than their own: the try goes by way of control.
        predict: async (endpoint: string, request: PredictRequest) => {
          const tried = await client.tryOut(endpoint, { body: stringifyJson(request) });
          if (tried.status >= 400)
            throw new Error(`It was asked for a prediction and answered with HTTP ${tried.status}: ${tried.body}`);
          return parseJson(tried.body) as PredictResponse;
        },
        onEvent: (event: DeployEvent) =>
          setEvents((before) => [
            ...before.filter(
              (one) => !(one.kind === 'upload' && event.kind === 'upload' && one.progress.path === event.progress.path),
            ),
            event,
          ]),
      };
      const sources = files.map((file) => ({ path: pathOf(file), blob: file as Blob }));
      const input = { model, files: sources, ...(breaking ? { allowBreaking: true } : {}) };
      return serve ? client.deploy(input, options) : client.models.push(input, options);
    },
    onSettled: () => queries.invalidateQueries(),
  });
  const choose = (list: FileList | null) => {
    const chosen = [...(list ?? [])];
    setFiles(chosen);
    const first = chosen[0];
    if (model === '' && first) {
      const folder = first.webkitRelativePath.split('/')[0];
      setModel(nameOf(folder || first.name.replace(/\.[^.]+$/, '')));
    }
  };
  return (
    <Page
      title="Upload a model"
      trail={[{ to: '/models', text: 'Models' }]}
      about="A file is tried in a process of its own before anything serves it."
    >
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault();
          upload.mutate();
        }}
      >
        <label className="field">
          Model file, or all files of its folder
          <input type="file" multiple required onChange={(event) => choose(event.target.files)} />
          <span className="small quiet">
            ONNX, alone or with external data and <code>slipway.yaml</code>.{' '}
            {files.length > 0 &&
              `${files.length} ${files.length === 1 ? 'file' : 'files'}, ${bytes(files.reduce((sum, file) => sum + file.size, 0))}.`}
          </span>
        </label>
        <label className="field">
          Name of the model
          <input
            required
            pattern="[a-z0-9][a-z0-9._\-]{0,62}"
            value={model}
            spellCheck={false}
            onChange={(event) => setModel(event.target.value)}
          />
          <span className="small quiet">
            Up to 63 of a-z, 0-9, dot, dash and underscore. A name that is there already gets a further version.
          </span>
        </label>
        <label className="check">
          <input type="checkbox" checked={serve} onChange={(event) => setServe(event.target.checked)} />
          Serve it at the endpoint of this name, once it has answered a real inference
        </label>
        {serve && (
          <label className="check">
            <input type="checkbox" checked={breaking} onChange={(event) => setBreaking(event.target.checked)} />
            Also if its signature would break callers
          </label>
        )}
        <div>
          <button
            type="submit"
            className="main"
            disabled={upload.isPending || refusal !== null}
            title={refusal ?? undefined}
          >
            {upload.isPending ? 'Working…' : serve ? 'Upload and deploy' : 'Upload'}
          </button>{' '}
          {upload.isPending && (
            <button type="button" onClick={() => stop.current?.abort()}>
              Stop
            </button>
          )}
          {refusal && <p className="small">{refusal}</p>}
        </div>
      </form>
      {(events.length > 0 || upload.isError) && (
        <Section title="What happens">
          <ol className="steps" aria-live="polite">
            {events.map((event, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: told in order
              <li key={i}>{textOf(event)}</li>
            ))}
          </ol>
          {upload.isError && <Problem error={upload.error} />}
          {upload.data && <Outcome deployed={upload.data} />}
        </Section>
      )}
    </Page>
  );
}

function textOf(event: DeployEvent) {
  switch (event.kind) {
    case 'upload': {
      const { path, sentBytes, sizeBytes } = event.progress;
      return (
        <>
          {path}: {bytes(sentBytes)} of {bytes(sizeBytes)}{' '}
          <progress max={sizeBytes || 1} value={sizeBytes === 0 ? 1 : sentBytes} aria-label={`Upload of ${path}`} />
        </>
      );
    }
    case 'model_created':
      return `The model ${event.model} was made.`;
    case 'validating':
      return `Version ${event.version.version} is being tried.`;
    case 'progress':
      return event.reason;
    case 'validated':
      return (
        <>
          Validation: <Status tone={event.version.status === 'ready' ? 'good' : 'bad'}>{event.version.status}</Status>
        </>
      );
    case 'switching':
      return `The endpoint ${event.endpoint.name} takes it over.`;
    case 'waiting':
      return event.reason;
  }
}

function Outcome({ deployed }: { deployed: Deployed }) {
  const { outcome, model, version, endpoint, predictionMs } = deployed;
  return (
    <>
      <p>
        {outcome === 'served' && (
          <Status tone="good">
            {endpoint?.name} serves version {version?.version}
            {predictionMs !== null && `; it answered in ${duration(predictionMs)}`}
          </Status>
        )}
        {outcome === 'registered' && <Status tone="good">Version {version?.version} is registered</Status>}
        {outcome === 'rejected' && <Status tone="bad">It did not pass its validation; nothing else was changed</Status>}
        {outcome === 'not_ready' && (
          <Status tone="warn">{endpoint?.status.reason ?? 'The endpoint does not answer with it yet'}</Status>
        )}
      </p>
      {version && (
        <p>
          <Link to={addressOf.version(model, version.version)}>{`${model}@${version.version}`}</Link>
          {endpoint && (
            <>
              {' · '}
              <Link to={addressOf.endpoint(endpoint.name)}>Endpoint {endpoint.name}</Link>
            </>
          )}
        </p>
      )}
      {version?.validation && outcome === 'rejected' && <ValidationReport version={version} />}
    </>
  );
}

function pathOf(file: File): string {
  return file.webkitRelativePath === '' ? file.name : file.webkitRelativePath.split('/').slice(1).join('/');
}

function nameOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 63);
}
