// Owns starting the page: who is signed in is asked first, then the playground is shown.
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';
import { createRoot } from 'react-dom/client';
import { Playground } from './playground.jsx';
import { session } from './session.js';

await session.look();
createRoot(document.getElementById('page')).render(<Playground />);
