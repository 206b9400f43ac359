# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = './incremental_moco-densecl_contrastive_resnet18_1xb64_voc07-96px.py'

stage_order = ['densecl', 'moco']
