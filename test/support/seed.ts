import fc from 'fast-check'

/** Every run draws the same cases, so that a red test is red again; COFFER_TEST_SEED draws others. */
fc.configureGlobal({ seed: Number(process.env.COFFER_TEST_SEED ?? 20_261_123) })
