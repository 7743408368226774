/** What a person prints and puts in a safe: the key, and all it takes to use it. */
export function recoveryPage(key: { identity: string; recipient: string; name: string; createdAt: Date }): string[] {
  return [
    'COFFER RECOVERY KEY',
    '===================',
    '',
    `Name:        ${key.name}`,
    `Created:     ${key.createdAt.toISOString().slice(0, 10)}`,
    `Public key:  ${key.recipient}`,
    '',
    'Private key:',
    '',
    `    ${key.identity}`,
    '',
    'Whoever has the private key can read every backup that was taken since. Nobody else has it: it was made on the',
    'computer that printed this page, and went nowhere else. Keep this page where the servers of Coffer are not.',
    '',
    'To use it, type the private key into a file recovery-key.txt on a computer you trust. Then, with the objects of a',
    'backup from the store (each backup is a folder with a manifest.json), and age, zstd, tar and pg_restore installed:',
    '',
    '    age --decrypt --identity recovery-key.txt dump.pgdump.zst.age | zstd --decompress > database.dump',
    '    pg_restore --exit-on-error --no-owner --no-acl --dbname <address of an empty database> database.dump',
    '    age --decrypt --identity recovery-key.txt media.tar.zst.age | zstd --decompress | tar --extract --directory <folder>',
    '',
    'A manifest.json lists under "recipients" the public keys that can read its backup. While Coffer runs,',
    '"coffer keys check recovery-key.txt" lists all backups that this key opens; it sends the public key only.',
  ]
}
