/** The address of the page, which reopens what is shown. */

/** Puts a parameter into it, or takes it away, so that a reload or a copied link shows the same. */
export function setParameter(name, value) {
  const address = new URL(window.location.href);
  if (value === null) address.searchParams.delete(name);
  else address.searchParams.set(name, value);
  if (address.href !== window.location.href) window.history.replaceState(window.history.state, '', address);
}
