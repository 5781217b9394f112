import * as Ariakit from '@ariakit/react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useMemo, useState } from 'react';
import { addressOf } from '../address.ts';
import { firstOf, PAGE_LIMIT } from '../first-of.ts';
import { useProject } from '../session.tsx';

type Place = { text: string; kind: string; to: string };

const SCREENS: readonly Place[] = [
  ['Overview', '/'],
  ['Models', '/models'],
  ['Upload a model', '/upload'],
  ['Endpoints', '/endpoints'],
  ['Rollouts', '/rollouts'],
  ['Predictions', '/predictions'],
  ['History', '/history'],
  ['Audit log', '/history/audit'],
  ['Access: keys and projects', '/access'],
  ['Health, settings and logs', '/health'],
].map(([text, to]) => ({ text: text!, kind: 'screen', to: to! }));

const MOST = 50;

/** Ctrl-K: to any screen, model, endpoint or rollout by its name, and to a prediction by its id. */
export function Palette({ open, setOpen }: { open: boolean; setOpen: (open: boolean) => void }) {
  const { client, project } = useProject();
  const navigate = useNavigate();
  const [typed, setTyped] = useState('');

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        setTyped('');
        setOpen(true);
      }
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, [setOpen]);

  const known = useQuery({
    queryKey: ['registry', project, 'palette'],
    enabled: open,
    staleTime: 30_000,
    queryFn: async () => {
      const [models, endpoints, rollouts] = await Promise.allSettled([
        firstOf(client.models.list({ limit: PAGE_LIMIT })),
        firstOf(client.endpoints.list({ limit: PAGE_LIMIT })),
        client.rollouts.list({ limit: 100 }).page(),
      ]);
      const itemsOf = <T,>(settled: PromiseSettledResult<{ items: T[] }>): T[] =>
        settled.status === 'fulfilled' ? settled.value.items : [];
      return [
        ...itemsOf(endpoints).map((one) => ({ text: one.name, kind: 'endpoint', to: addressOf.endpoint(one.name) })),
        ...itemsOf(models).map((one) => ({ text: one.name, kind: 'model', to: addressOf.model(one.name) })),
        ...[...new Set(itemsOf(rollouts).map((one) => one.endpoint))].map((name) => ({
          text: name,
          kind: 'rollout',
          to: addressOf.rollout(name),
        })),
      ];
    },
  });

  const found = useMemo(() => {
    const words = typed.trim().toLowerCase();
    const id = /^[0-9a-f]{8}-[0-9a-f-]{20,}(\.\d+)?$/i.test(typed.trim());
    const direct: Place[] = id
      ? [{ text: typed.trim(), kind: 'prediction', to: addressOf.prediction(typed.trim()) }]
      : [];
    const all = [...SCREENS, ...(known.data ?? [])];
    return [...direct, ...all.filter((place) => `${place.text} ${place.kind}`.toLowerCase().includes(words))].slice(
      0,
      MOST,
    );
  }, [typed, known.data]);

  return (
    <Ariakit.Dialog
      open={open}
      onClose={() => setOpen(false)}
      className="dialog palette"
      backdrop={<div className="backdrop" />}
      aria-label="Go to"
    >
      <Ariakit.ComboboxProvider open value={typed} setValue={setTyped}>
        <Ariakit.Combobox
          autoFocus
          autoSelect="always"
          placeholder="A screen, model, endpoint, rollout, or the id of a prediction"
          aria-label="Where to"
        />
        <Ariakit.ComboboxList className="palette-list" alwaysVisible aria-label="Places">
          {found.map((place) => (
            <Ariakit.ComboboxItem
              key={`${place.kind} ${place.to}`}
              value={place.text}
              setValueOnClick={false}
              className="palette-item"
              onClick={() => {
                setOpen(false);
                void navigate({ to: place.to });
              }}
            >
              <span>{place.text}</span> <span className="quiet small">{place.kind}</span>
            </Ariakit.ComboboxItem>
          ))}
        </Ariakit.ComboboxList>
        {found.length === 0 && <p className="quiet">Nothing by this name here.</p>}
      </Ariakit.ComboboxProvider>
    </Ariakit.Dialog>
  );
}
