// What this browser made, in its own database: one record of facts per speech, and its samples in
// pieces, so that a reload in mid-sentence loses at most the last second.

export const CAP = 200e6; // bytes of samples

let opening = null;

function opened() {
  opening ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open("indextts_jax", 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("speeches", { keyPath: "id" });
      asked.result.createObjectStore("samples"); // by [id, number of the piece]
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
    asked.onblocked = () => reject(new Error("blocked"));
  });
  return opening;
}

/** Runs `work` on the two stores in one transaction; resolves with its result when it is on disk. */
async function transact(mode, work) {
  const database = await opened();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(["speeches", "samples"], mode);
    const asked = work(transaction.objectStore("speeches"), transaction.objectStore("samples"));
    transaction.oncomplete = () => resolve(asked?.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error("aborted"));
  });
}

const pieces = (id) => IDBKeyRange.bound([id, 0], [id, Infinity]);

/** All records, the newest first. */
export async function records() {
  const all = await transact("readonly", (speeches) => speeches.getAll());
  return all.sort((a, b) => b.created - a.created);
}

export const putRecord = (record) => transact("readwrite", (speeches) => speeches.put(record));

/** Adds a piece of samples, and the record that counts it, together. */
export const putPiece = (record, number, samples) => transact("readwrite", (speeches, store) => {
  speeches.put(record);
  return store.put(samples, [record.id, number]);
});

export const piecesOf = (id) => transact("readonly", (_, samples) => samples.getAll(pieces(id)));

export const removeRecords = (ids) => transact("readwrite", (speeches, samples) => {
  for (const id of ids) {
    speeches.delete(id);
    samples.delete(pieces(id));
  }
});
