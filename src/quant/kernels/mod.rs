//! Integer and float kernels, one file per instruction set, chosen at run time.
