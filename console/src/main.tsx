import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { BASE, onSessionEnded } from './api.ts';
import { createPages } from './pages.tsx';
import { startTheme } from './shell/theme.ts';
import './tokens.css';
import './look.css';

startTheme();
const queries = new QueryClient({
  defaultOptions: {
    // Events say when to ask anew, also when the page is seen again; what no screen shows is soon forgotten, so that a page may stay open for days.
    queries: { retry: false, staleTime: 2_000, gcTime: 60_000, refetchOnWindowFocus: false },
    mutations: { retry: false },
  },
});
onSessionEnded(() => void queries.resetQueries({ queryKey: ['me'] }));

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={createPages(BASE.pathname.replace(/\/$/, ''))} />
    </QueryClientProvider>
  </StrictMode>,
);
