"""Speaks PyTorch's side of weights_test: see python_torch_test.cc.

  torch_check.py save DIR         writes files of torch.save, and digests.json
  torch_check.py load DIR NET     reads weights.safetensors into a module,
                                  strictly, and compares its outputs

safetensors is read with the standard library: it is eight bytes, JSON, data.
"""
import collections
import hashlib
import json
import struct
import sys

import torch
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False),
                nn.BatchNorm2d(channels))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet(nn.Module):
    """timm's names; two stages of one block."""

    def __init__(self, channels_in, widths, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = nn.Sequential(BasicBlock(widths[0], widths[0], 1))
        self.layer2 = nn.Sequential(BasicBlock(widths[0], widths[1], 2))
        if classes:
            self.fc = nn.Linear(widths[1], classes)

    def features(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        return self.layer2(self.layer1(x))


class SimpleCls(nn.Module):
    def __init__(self):
        super().__init__()
        self.base_model = ResNet(1, (4, 8), 0)
        self.fc = nn.Linear(16, 3)

    def forward(self, image):
        x = self.base_model.features(image.unsqueeze(1))
        return self.fc(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


class Recurrent(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.lstm = cell(101, 8, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(16, 3)

    def forward(self, image):
        place = torch.arange(80.0).div(80).view(1, 80, 1)
        place = place.expand(image.shape[0], 80, 1)
        x = torch.cat([image.transpose(1, 2), place], 2)
        return self.fc(self.lstm(x)[0][:, -1])


NETS = {
    'resnet': SimpleCls,
    'gru': lambda: Recurrent(nn.GRU),
    'lstm': lambda: Recurrent(nn.LSTM),
}


def read_safetensors(path):
    with open(path, 'rb') as file:
        data = file.read()
    size = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop('__metadata__', None)
    types = {'F32': torch.float32, 'I64': torch.int64}
    tensors = collections.OrderedDict()
    for name, entry in header.items():
        begin, end = entry['data_offsets']
        part = bytearray(data[8 + size + begin:8 + size + end])
        tensors[name] = torch.frombuffer(
            part, dtype=types[entry['dtype']]).reshape(entry['shape'])
    return tensors


def load(folder, name):
    net = NETS[name]()
    net.load_state_dict(read_safetensors(folder + '/weights.safetensors'),
                        strict=True)
    net.eval()
    check = read_safetensors(folder + '/check.safetensors')
    with torch.no_grad():
        worst = (net(check['images']) - check['logits']).abs().max().item()
    if not worst < 1e-4:
        sys.exit('logits differ by %g' % worst)


def digest(tensor):
    part = tensor.detach().contiguous()
    return hashlib.sha256(bytes(part.view(-1).view(torch.uint8).numpy())
                          if part.numel() else b'').hexdigest()


def save(folder):
    torch.manual_seed(5)
    net = ResNet(3, (4, 8), 1000)
    for name, buffer in net.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    state = net.state_dict()
    odd = collections.OrderedDict(
        transposed=torch.randn(3, 4).t(),
        part=torch.randn(10)[3:7],
        strided=torch.randn(4, 6)[::2, 1::2],
        half=torch.randn(5).half(),
        bfloat=torch.randn(5).bfloat16(),
        double=torch.randn(5).double(),
        long=torch.arange(7),
        byte=torch.arange(7, dtype=torch.uint8),
        bool=torch.tensor([True, False]),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
        parameter=nn.Parameter(torch.randn(3)))
    odd['shared'] = odd['part']
    parallel = {'module.' + name: tensor for name, tensor in state.items()}
    optimizer = torch.optim.AdamW(net.parameters())
    net.fc(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    files = {
        'state': state,
        'odd': odd,
        'checkpoint': {'epoch': 3, 'state_dict': parallel, 'best': 0.5,
                       'optimizer': optimizer.state_dict()},
    }
    digests = {}
    for name, content in files.items():
        torch.save(content, '%s/%s.pt' % (folder, name))
        torch.save(content, '%s/%s.pth' % (folder, name),
                   _use_new_zipfile_serialization=False)
        tensors = content.get('state_dict', content)
        digests[name] = {key: digest(value) for key, value in tensors.items()}
    torch.save(net, folder + '/whole.pt')
    with open(folder + '/digests.json', 'w') as file:
        json.dump(digests, file)


if __name__ == '__main__':
    if sys.argv[1] == 'save':
        save(sys.argv[2])
    else:
        load(sys.argv[2], sys.argv[3])
